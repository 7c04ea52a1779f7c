import { broker } from '../ledger/events.ts';
import {
  demandAfter,
  findUntidySecrets,
  recordTidied,
  takeOverdueSecrets,
  takeReleasesToFollow,
  type Untidy,
} from '../store/device-secrets.ts';
import { raiseLiveVersions } from '../store/live-grants.ts';
import { inTransaction } from '../store/transaction.ts';
import { runCommand } from './command.ts';
import type { BrokerContext } from './context.ts';
import { longestUse } from './release-secret.ts';

/** The alarm over a device that has not set the password that is wanted of it. */
export const rotationOverdue = 'secret-rotation-overdue';
/** How long a device may take to confirm a new password, in seconds; one that is off takes as long as it is off. */
const confirmWithin = 300;
/** Devices whose old passwords are taken out of the vault in one round. */
const tidiedAtOnce = 20;

/**
 * Wants another password of every device whose one was given out on a grant that is over, or an hour ago. The devices
 * hear of it in their lists, for as long as it takes.
 */
export async function orderRotations(context: BrokerContext, batch: number): Promise<number> {
  return runCommand(context, { actor: broker }, async (tx, journal) => {
    const taken = await takeReleasesToFollow(tx, longestUse, batch);
    if (taken.length === 0) return 0;
    const demanded = await demandAfter(tx, taken);
    raiseLiveVersions(tx, demanded);
    journal.afterCommit(() => context.hints.devicesChanged(demanded));
    return taken.length;
  });
}

/** Raises an alarm over each device that has not confirmed in time; its confirmation closes it. */
export async function raiseOverdueRotations(context: BrokerContext, batch: number): Promise<number> {
  return runCommand(context, { actor: broker }, async (tx, journal) => {
    const late = await takeOverdueSecrets(tx, confirmWithin, batch);
    for (const { device, tenant, grant, now } of late) {
      await journal.raise(tx, now, rotationOverdue, device, tenant, grant);
    }
    return late.length;
  });
}

/**
 * Takes passwords out of the vault that no device has any more, and all of those that were erased. Any number of brokers
 * may do it at once, and again: what is gone is gone.
 */
export async function tidySecrets(context: BrokerContext): Promise<void> {
  const failures: unknown[] = [];
  for (const untidy of await findUntidySecrets(context.pool, tidiedAtOnce)) {
    // One that cannot be tidied holds up no other.
    await tidyOne(context, untidy).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

async function tidyOne(context: BrokerContext, untidy: Untidy): Promise<void> {
  const { device, version, erased } = untidy;
  if (erased) await context.secrets.forget(device);
  else if (version !== null) await context.secrets.discardBefore(device, version);
  // If we stop here, it is done again.
  await inTransaction(context.pool, (tx) => recordTidied(tx, untidy));
}
