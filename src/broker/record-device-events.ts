import { importJWK, jwtVerify } from 'jose';
import { requireCanonicalCompactJws } from '../domain/compact-jws.ts';
import type { DeviceEvent } from '../domain/device-event.ts';
import { invalid } from '../domain/errors.ts';
import type { DeviceId } from '../domain/ids.ts';
import type { LedgerEvent } from '../ledger/events.ts';
import { findDevice, type Device } from '../store/devices.ts';
import { findLedgerState, readEntries } from '../store/ledger.ts';
import { claimStatement, endSession, insertSession, isIssued } from '../store/sessions.ts';
import { databaseNow, type Tx } from '../store/transaction.ts';
import type { BrokerContext } from './context.ts';
import type { Journal } from './journal.ts';

/** What a device states of its door, with what every statement says of itself. The edge has checked the shape. */
export type SignedStatement = DeviceEvent & { readonly jti: string; readonly at: string };

/**
 * Takes a device's signed statements into the ledger, each once, in order, all of them or none.
 * @param readClaims checks a statement's claims; throws invalid-request.
 * @throws invalid-request at the first that is not a well-formed statement of this device's key.
 */
export async function recordDeviceEvents(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  id: DeviceId,
  statements: readonly string[],
  readClaims: (claims: unknown, pointer: string) => SignedStatement,
): Promise<void> {
  const device = (await findDevice(tx, id))!;
  const key = await importJWK({ ...device.publicKey }, 'ES256');
  for (const [index, statement] of statements.entries()) {
    const pointer = `/events/${index}`;
    const said = readClaims(await verify(context, device, key, statement, pointer), pointer);
    if (await claimStatement(tx, id, said.jti)) await record(tx, journal, device, said, statement);
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

async function record(
  tx: Tx,
  journal: Journal,
  device: Device,
  said: SignedStatement,
  statement: string,
): Promise<void> {
  const now = await databaseNow(tx);
  const session = 'session' in said ? said.session : null;
  journal.fact(now, device.tenant, { type: said.type, device: device.id, session, grant: said.grant, statement });
  if (said.type === 'session.ended') {
    const { cause, lagMs } = said;
    await endSession(tx, said.session, device.id, { at: now, cause, lagMs });
  }
  if (said.type !== 'session.started') return;
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
}

/** True when the ledger has the credential's event where its receipt says, within a tree that was signed. */
async function isInLedger(
  tx: Tx,
  { credential, receiptIndex, checkpoint }: Extract<DeviceEvent, { readonly type: 'session.started' }>,
): Promise<boolean> {
  const { size, root } = await findLedgerState(tx);
  if (receiptIndex >= checkpoint.size || checkpoint.size > size) return false;
  if (checkpoint.size === size && checkpoint.root !== root.toString('base64url')) return false;
  const [entry] = await readEntries(tx, receiptIndex, 1);
  if (!entry) return false;
  const event = JSON.parse(entry.bytes.toString('utf8')) as Partial<LedgerEvent>;
  return event.type === 'credential.issued' && event.credential === credential;
}
