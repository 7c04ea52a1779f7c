/**
 * What guards a device's door. `startAgent` is the whole of it; the parts are here for a program that has a door of its
 * own: `createBrokerKeys`, `createLiveGrants` and `watchLiveGrants` to know what is live, `createVerifier` to decide.
 */
export type { Action, ActionContext, Actions } from './actions.ts';
export { BrokerError } from './broker-calls.ts';
export type { ActionArguments, DeviceEvent, EndCause } from './device-events.ts';
export { openDoor, type Door, type DoorOptions } from './door.ts';
export { enrol, type Enrolment, type EnrolOptions } from './enrol.ts';
export { createBrokerKeys, type BrokerKey, type BrokerKeys } from './jwks.ts';
export { loadDeviceKey, type DeviceKey } from './keys.ts';
export { createLiveGrants, type LiveGrants, type LiveGrantsOptions } from './live-grants.ts';
export { StatementError, type HighWater, type LiveGrant, type LiveList } from './live-grants-statement.ts';
export type { DemandedWitnesses, LedgerPlace } from './receipts.ts';
export { isRefusalCode, Refusal, refusalStatus, type RefusalCode } from './refusal.ts';
export { createReporter, type Reporter, type ReporterOptions } from './report.ts';
export { createSessions, type Session, type Sessions, type SessionsOptions } from './sessions.ts';
export { createSignIn, type SignIn, type SignInOptions } from './sign-in.ts';
export { startAgent, type Agent, type AgentOptions } from './start-agent.ts';
export { StateError } from './state-directory.ts';
export {
  createVerifier,
  type Presented,
  type PresentedCall,
  type Verified,
  type VerifiedCall,
  type Verifier,
  type VerifierOptions,
} from './verify-credential.ts';
export { watchLiveGrants, type Watch, type WatchOptions } from './watch-live-grants.ts';
