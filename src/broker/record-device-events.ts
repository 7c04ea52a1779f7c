import { importJWK, jwtVerify } from 'jose';
import { requireCanonicalCompactJws } from '../domain/compact-jws.ts';
import type { DeviceEvent } from '../domain/device-event.ts';
import { invalid, LatchkeyError } from '../domain/errors.ts';
import { timeOf, type DeviceId, type EventId, type GrantId } from '../domain/ids.ts';
import { noLongerEnrolled } from '../domain/unenrolled.ts';
import type { LedgerEvent } from '../ledger/events.ts';
import { claimStatement } from '../store/device-statements.ts';
import { confirmGeneration, demandAfter, isPrepared } from '../store/device-secrets.ts';
import { lockDevice, type Device } from '../store/devices.ts';
import { isGiven } from '../store/grants.ts';
import { findLedgerState, readEntries } from '../store/ledger.ts';
import { raiseLiveVersions } from '../store/live-grants.ts';
import { endSession, keepEarlyEnd, takeEarlyEnd } from '../store/session-ends.ts';
import { insertSession, isIssued } from '../store/sessions.ts';
import { databaseNow, type Tx } from '../store/transaction.ts';
import type { BrokerContext } from './context.ts';
import type { Journal } from './journal.ts';
import { rotationOverdue } from './rotate-secrets.ts';

/** What a device states of its door, with what every statement says of itself. The edge has checked the shape. */
export type SignedStatement = DeviceEvent & { readonly jti: EventId; readonly at: string };

type Started = Extract<DeviceEvent, { readonly type: 'session.started' }>;
type Rotated = Extract<DeviceEvent, { readonly type: 'secret.rotated' }>;

/** The alarm over a session that should have ended and that its device has not called ended. */
export const unconfirmedAlarm = 'session-unconfirmed';

/**
 * A statement is taken only within this time of the making of its id, in milliseconds: so it need not be remembered for
 * ever that it was counted.
 */
export const longestWait = 90 * 86_400_000;
const furthestAhead = 86_400_000;

/**
 * Takes a device's signed statements into the ledger, each once, in order, all of them or none. Calls of one device are
 * taken one after the other.
 * @param readClaims checks a statement's claims; throws invalid-request.
 * @throws invalid-request at the first that is not a well-formed statement of this device's key, or too old to be told
 *   from one that was counted; unauthenticated when the device has been taken out meanwhile.
 */
export async function recordDeviceEvents(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  id: DeviceId,
  statements: readonly string[],
  readClaims: (claims: unknown, pointer: string) => SignedStatement,
): Promise<void> {
  const device = await lockDevice(tx, id);
  // Whoever takes a device out holds its row: after that, not one more statement of its key is believed.
  if (!device || device.unenrolledAt) throw new LatchkeyError('unauthenticated', noLongerEnrolled);
  const now = await databaseNow(tx);
  const key = await importJWK({ ...device.publicKey }, 'ES256');
  for (const [index, statement] of statements.entries()) {
    const pointer = `/events/${index}`;
    const said = readClaims(await verify(context, device, key, statement, pointer), pointer);
    requireYoung(said.jti, now, pointer);
    if (await claimStatement(tx, id, said.jti)) await record(context, tx, journal, device, said, statement);
  }
}

async function verify(
  context: BrokerContext,
  device: Device,
  key: Awaited<ReturnType<typeof importJWK>>,
  statement: string,
  pointer: string,
): Promise<unknown> {
  try {
    requireCanonicalCompactJws(statement, { maxLength: 16_384 });
    // A statement may have waited on the device for as long as the broker was away, so its age says nothing.
    const { payload } = await jwtVerify(statement, key, {
      algorithms: ['ES256'],
      typ: 'latchkey-event+jwt',
      issuer: device.id,
      audience: context.issuer,
      requiredClaims: ['jti', 'iat'],
    });
    return payload;
  } catch {
    throw invalid(pointer, 'is not a statement of this device’s key to this broker');
  }
}

function requireYoung(jti: EventId, now: Date, pointer: string): void {
  const age = now.getTime() - timeOf(jti);
  if (age > longestWait) throw invalid(pointer, 'is older than 90 days, and may have been counted before');
  if (age < -furthestAhead) throw invalid(pointer, 'is from the future: its `jti` was made more than a day from now');
}

async function record(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  device: Device,
  said: SignedStatement,
  statement: string,
): Promise<void> {
  const now = await databaseNow(tx);
  if (said.type === 'secret.rotated') return recordRotation(context, tx, journal, device, said, statement, now);
  const session = 'session' in said ? said.session : null;
  journal.fact(now, device.tenant, { type: said.type, device: device.id, session, grant: said.grant, statement });
  if (said.type === 'session.ended') {
    const { session, grant, cause, lagMs } = said;
    const end = { session, grant, device: device.id, at: now, cause, lagMs };
    if (await endSession(tx, end)) await journal.close(tx, now, [unconfirmedAlarm], session);
    else {
      await keepEarlyEnd(tx, end);
      await requireKnown(tx, journal, device, grant, now);
    }
  }
  if (said.type === 'session.refused') await requireKnown(tx, journal, device, said.grant, now);
  if (said.type === 'session.started') await begin(tx, journal, device, said, now);
}

/** A device has set a password: from now on it is the one that is given out, and those before it are nobody's. */
async function recordRotation(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  { id, tenant }: Device,
  { type, secret, generation }: Rotated,
  statement: string,
  now: Date,
): Promise<void> {
  journal.fact(now, tenant, { type, device: id, secret, generation, statement });
  const confirmed = await confirmGeneration(tx, id, generation);
  if (confirmed?.done) await journal.close(tx, now, [rotationOverdue], id);
  if (confirmed || (await isPrepared(tx, id, generation))) return;
  // It has one that was never made here: the database has lost it. Nobody could be given it, so it is to have another.
  const demanded = await demandAfter(tx, [{ device: id, generation }]);
  raiseLiveVersions(tx, demanded);
  journal.afterCommit(() => context.hints.devicesChanged(demanded));
}

/**
 * A door tells only of what came with a credential and a receipt that it found good. When they are of a grant that was
 * never given here, somebody else has the keys to both, or this database has lost what it once gave.
 */
async function requireKnown(tx: Tx, journal: Journal, device: Device, grant: GrantId, now: Date): Promise<void> {
  if (!(await isGiven(tx, grant))) await journal.raise(tx, now, 'unknown-grant', grant, device.tenant);
}

async function begin(tx: Tx, journal: Journal, device: Device, said: Started, now: Date): Promise<void> {
  // INVARIANT: the agent has verified a receipt. One for a leaf that is not there was signed with the ledger's key by
  // somebody else, or the ledger has lost what it once proved.
  if (!(await isInLedger(tx, said))) await journal.raise(tx, now, 'unknown-leaf', said.session, device.tenant);
  const { grant, person, credentialId: credential, scopes } = said;
  const hash = Buffer.from(said.credential, 'base64url');
  if (!(await isIssued(tx, { id: credential, hash, grant, device: device.id, person }))) {
    // A door was opened with something that was never issued: somebody else has a key of ours.
    await journal.raise(tx, now, 'unknown-credential', said.session, device.tenant);
    return;
  }
  const { tenant } = device;
  await insertSession(tx, {
    id: said.session,
    device: device.id,
    tenant,
    grant,
    person,
    scopes,
    credential,
    startedAt: now,
  });
  const end = await takeEarlyEnd(tx, said.session, device.id);
  if (end) await endSession(tx, end);
}

/** True when the ledger has the credential's event where its receipt says, within a tree that was signed. */
async function isInLedger(tx: Tx, { credential, receiptIndex, checkpoint }: Started): Promise<boolean> {
  const { size, root } = await findLedgerState(tx);
  if (receiptIndex >= checkpoint.size || checkpoint.size > size) return false;
  if (checkpoint.size === size && checkpoint.root !== root.toString('base64url')) return false;
  const [entry] = await readEntries(tx, receiptIndex, 1);
  if (!entry) return false;
  const event = JSON.parse(entry.bytes.toString('utf8')) as Partial<LedgerEvent>;
  return event.type === 'credential.issued' && event.credential === credential;
}
