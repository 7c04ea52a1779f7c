/**
 * `latchkey/agent`: what guards a device's door.
 *
 * `startAgent` is the whole of it. A program that has a door of its own takes three parts, each of which promises one
 * thing: `watchLiveGrants` knows what is live, `createVerifier` says whether a credential may act, and `openSession`
 * opens a session that ends by itself. The rest of this list is what they are made with.
 */

// The door is the agent's.
export { startAgent, type Agent, type AgentOptions } from './start-agent.ts';
export { openDoor, type Door, type DoorOptions } from './door.ts';
export type { DoorAddressOptions, DoorCertificate } from './door-server.ts';
export {
  BadArguments,
  type Action,
  type ActionContext,
  type Actions,
  type DeclaredAction,
  type PreparedAction,
} from './actions.ts';
export type { ActionDescription, ParameterDescription } from './describe-action.ts';

// The door is your own.
export { watchLiveGrants, type Watch, type WatchOptions } from './watch-live-grants.ts';
export {
  createVerifier,
  type Presented,
  type PresentedCall,
  type Verified,
  type VerifiedCall,
  type Verifier,
  type VerifierOptions,
} from './verify-credential.ts';
export { openSession, type Doorkeeper } from './open-session.ts';
export { createSessions, type Session, type Sessions, type SessionsOptions } from './sessions.ts';

// Who the device is, and whom it believes.
export { enrol, type Enrolment, type EnrolOptions } from './enrol.ts';
export { unenrol, type UnenrolOptions } from './unenrol.ts';
export { loadDeviceKey, type DeviceKey } from './keys.ts';
export { loadEncryptionKey, type EncryptionKey } from './encryption-key.ts';
export { createSignIn, type SignIn, type SignInOptions } from './sign-in.ts';
export { createBrokerKeys, type BrokerKey, type BrokerKeys, type BrokerKeysOptions } from './jwks.ts';
export { createLedgerKeys, loadLedgerKeys, type LedgerKeys, type LedgerKeysOptions } from './ledger-keys.ts';
export type { LedgerPlace, ReceiptOptions } from './receipts.ts';
export type { DemandedWitnesses } from './witnesses.ts';

// What is live, and what is told of it.
export { createLiveGrants, type LiveGrants, type LiveGrantsOptions } from './live-grants.ts';
export { StatementError, type HighWater, type LiveGrant, type LiveList } from './live-grants-statement.ts';
export { createReporter, type Promised, type Reporter, type ReporterOptions } from './report.ts';
export { openOutbox, type Change, type Outbox, type OutboxSize, type Owed, type Waiting } from './outbox.ts';
export { machineClocks, mark, type Clocks, type Mark } from './elapsed.ts';
export type { ActionArguments, DeviceEvent, EndCause } from './device-events.ts';
export { createReplayCache, type ReplayCache, type UseOnce } from './replay-cache.ts';

// The local administrator's password.
export { keepPassword, PasswordNotSet } from './keep-password.ts';
export type { LocalAdministrator, PasswordKeeper, PasswordKeeperOptions } from './keep-password.ts';
export { createEventCheck, type EventCheck } from './receipts.ts';
export { LocalSecretError, type LocalSecretTrust } from './local-secret.ts';

// What can go wrong.
export { isRefusalCode, Refusal, refusalStatus, type RefusalCode, type RefusalSubject } from './refusal.ts';
export { BrokerError, isUnenrolled } from './broker-calls.ts';
export { DoorError } from './door-http.ts';
export { StateError } from './state-directory.ts';
