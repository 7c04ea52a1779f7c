import { LatchkeyError } from '../domain/errors.ts';
import { requireLive } from '../domain/grant.ts';
import type { DeviceId } from '../domain/ids.ts';
import { noLongerEnrolled } from '../domain/unenrolled.ts';
import { retireSecret } from '../store/device-secrets.ts';
import { lockDevice, recordErasure, recordUnenrolment } from '../store/devices.ts';
import { eraseDisclosuresOf } from '../store/disclosures.ts';
import { lockGrant } from '../store/grants.ts';
import { grantsLiveOn, leaveGrants, raiseLiveVersions } from '../store/live-grants.ts';
import { databaseNow, type Tx } from '../store/transaction.ts';
import { requireAdministrator } from './administer.ts';
import { tenantFacts, type BrokerContext, type Caller } from './context.ts';
import { revokeByBroker } from './end-grant.ts';
import type { Journal } from './journal.ts';
import { rotationOverdue } from './rotate-secrets.ts';
import { requireVisible } from './see.ts';

/**
 * Takes a device out: it leaves its grants, which end when none of their devices is left, and its key is refused from
 * now on. With `erase`, then or later, what was collected about it goes too; the ledger keeps both facts.
 * @param caller an operator; null when the device itself asks.
 * @throws not-found; not-permitted, recorded; conflict when it is out already.
 */
export async function unenrolDevice(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller | null,
  id: DeviceId,
  erase: boolean,
): Promise<void> {
  // Grants are locked before the device, as everywhere; one made in between refuses a device that is out.
  const grants = [...(await grantsLiveOn(tx, id))].sort();
  for (const grant of grants) await lockGrant(tx, grant);
  const device = await lockDevice(tx, id);
  if (!device) throw new LatchkeyError('not-found', 'there is no such device');
  const now = await databaseNow(tx);
  if (caller) {
    requireVisible(context, caller, 'devices', { owner: null, tenantSlug: device.tenantSlug });
    await requireAdministrator(context, journal, caller, 'unenrol-devices', tenantFacts(device), now);
  }
  if (device.unenrolledAt && !erase) throw new LatchkeyError('conflict', noLongerEnrolled);
  // Asked to erase again what has been erased, there is nothing left to do or to tell.
  if (device.erasedAt) return;
  journal.fact(now, device.tenant, { type: 'device.unenrolled', device: id, erased: erase });
  if (!device.unenrolledAt) await recordUnenrolment(tx, id, now);
  // The account keeps the password that it has; nobody is given it any more.
  await retireSecret(tx, id, erase);
  await journal.close(tx, now, [rotationOverdue], id);
  if (erase) {
    await recordErasure(tx, id, now);
    await eraseDisclosuresOf(tx, id);
  }
  if (!device.unenrolledAt) await leave(context, tx, journal, id, now);
}

/** The device leaves its grants. Its sessions there can no longer be confirmed: they stay so, and are an alarm. */
async function leave(context: BrokerContext, tx: Tx, journal: Journal, id: DeviceId, now: Date): Promise<void> {
  for (const { grant, left } of await leaveGrants(tx, id, now)) {
    const stored = await lockGrant(tx, grant);
    if (left > 0 || !stored || stored.grant.ending || stored.grant.state === 'expired') continue;
    const why = { cause: 'devices-gone', note: 'none of its devices is enrolled any more', decision: null } as const;
    await revokeByBroker(context, tx, journal, requireLive(stored.grant), why, stored.now);
  }
  raiseLiveVersions(tx, [id]);
  journal.afterCommit(() => context.hints.devicesChanged([id]));
}
