import { sealToKey } from '../credentials/seal-to-key.ts';
import { signLocalSecret } from '../credentials/statements.ts';
import { LatchkeyError } from '../domain/errors.ts';
import type { DeviceId } from '../domain/ids.ts';
import { localAdmin, localSecretTypes } from '../domain/local-admin.ts';
import { noLongerEnrolled } from '../domain/unenrolled.ts';
import { leafBytes } from '../ledger/canonical.ts';
import { demandAfter, insertGeneration, insertSecret, lockSecret, type DeviceSecret } from '../store/device-secrets.ts';
import { lockDevice, type Device } from '../store/devices.ts';
import { raiseLiveVersions } from '../store/live-grants.ts';
import { databaseNow, type Tx } from '../store/transaction.ts';
import { runCommand } from './command.ts';
import type { BrokerContext } from './context.ts';

/** What a device is to set: a compact JWE to its encryption key. */
export interface PreparedSecret {
  readonly generation: number;
  readonly secret: string;
}

/** How often others, or a vault that has lost something, may come in between. */
const tries = 5;

/**
 * Gives a device the password that is wanted of it, making it if nobody has: into the vault first, then the event that
 * commits to it, and it leaves with that event's receipt. Asked again, it gives the same. The first call of a device is
 * what makes it one that has such a password.
 * @param have the newest generation that the device knows of: after a database was restored, it may know more.
 * @throws conflict for a device that enrolled no encryption key; unauthenticated for one that is out; unavailable.
 */
export async function prepareSecret(context: BrokerContext, id: DeviceId, have: number): Promise<PreparedSecret> {
  let lost = 0;
  for (let attempt = 1; attempt <= tries; attempt++) {
    context.ledger.requireRoom();
    const { device, secret } = await demand(context, id, have, lost);
    const { wanted } = secret;
    const made = secret.generations.find(({ generation }) => generation === wanted);
    if (!made) {
      await prepare(context, id, wanted);
      continue;
    }
    const password = await context.secrets.read(id, made.version);
    if (!password) {
      // Somebody took it out of the vault. INVARIANT: a device is never given what the vault does not have.
      lost = wanted;
      continue;
    }
    const receipt = await context.ledger.receiptFor(made.event, made.leaf);
    const about = { device: id, generation: wanted, password, salt: made.salt, receipt };
    const now = await databaseNow(context.pool);
    const statement = signLocalSecret(context.keys.statement.signing(), context.issuer, about, now);
    return { generation: wanted, secret: await sealToKey(device.encryptionKey!, localSecretTypes.jwe, statement) };
  }
  throw new LatchkeyError('unavailable', 'the password is being changed at this moment', { retryAfter: 1 });
}

/** What is wanted of the device: more than what is lost, and more than what it has if nobody here knows of that. */
async function demand(
  context: BrokerContext,
  id: DeviceId,
  have: number,
  lost: number,
): Promise<{ readonly device: Device; readonly secret: DeviceSecret }> {
  return runCommand(context, { actor: { kind: 'device', id } }, async (tx, journal) => {
    const device = await requireDevice(tx, id);
    await insertSecret(tx, id, device.tenant);
    const secret = (await lockSecret(tx, id))!;
    const generation = have > secret.wanted ? have : lost;
    const demanded = await demandAfter(tx, [{ device: id, generation }]);
    if (demanded.length === 0) return { device, secret };
    raiseLiveVersions(tx, demanded);
    journal.afterCommit(() => context.hints.devicesChanged(demanded));
    return { device, secret: (await lockSecret(tx, id))! };
  });
}

async function requireDevice(tx: Tx, id: DeviceId): Promise<Device> {
  const device = await lockDevice(tx, id);
  if (!device || device.unenrolledAt) throw new LatchkeyError('unauthenticated', noLongerEnrolled);
  if (device.encryptionKey) return device;
  throw new LatchkeyError('conflict', 'the device enrolled no key for encryption: enrol it anew to give it a password');
}

/** Makes a generation, unless another broker is faster; theirs counts then. */
async function prepare(context: BrokerContext, id: DeviceId, generation: number): Promise<void> {
  const deposited = await context.secrets.deposit(id, generation);
  // If we stop here, the vault holds a password that nobody has, and discards it when the next one is confirmed.
  const isOurs = await runCommand(context, { actor: { kind: 'device', id } }, async (tx, journal) => {
    const { tenant } = await requireDevice(tx, id);
    const secret = await lockSecret(tx, id);
    if (secret?.wanted !== generation || secret.generations.some((each) => each.generation === generation))
      return false;
    const now = await databaseNow(tx);
    const { version, salt, commitment } = deposited;
    const event = journal.fact(now, tenant, {
      type: 'secret.prepared',
      device: id,
      secret: localAdmin,
      generation,
      commitment,
    });
    await insertGeneration(tx, id, { generation, version, salt, event: event.id, leaf: leafBytes(event) });
    return true;
  });
  if (!isOurs) await context.secrets.discard(id, deposited.version);
}
