import type { KeyRing } from '../credentials/key-ring.ts';
import type { KeyTimes } from '../domain/key-schedule.ts';
import { keyNames, type BrokerKeys, type KeyName } from '../credentials/keys.ts';
import { broker, rotationCauses, type RotationCause } from '../ledger/events.ts';
import {
  findSigningKeys,
  insertSigningKey,
  lockSigningKeys,
  withdrawSigningKeys,
  type SigningKey,
} from '../store/signing-keys.ts';
import { databaseNow } from '../store/transaction.ts';
import { runCommand, type CommandContext } from './command.ts';

/** The cause that marks a version of the ledger's key which waits for a word of the recovery key. */
export const recovering = 'recovery';

/**
 * Writes down which versions the rings have: that a new one takes the place of the one before is an event, as is what was
 * taken out of use with it. What is written down already stays as it is, so any broker may do this at any time, and
 * whoever added a version and stopped has it recorded by another.
 */
export async function recordKeys(context: CommandContext, keys: BrokerKeys): Promise<void> {
  const known = await findSigningKeys(context.pool);
  if (
    keyNames.every(
      (name) => newOf(name, keys[name], known).length === 0 && goneOf(name, keys[name], known).length === 0,
    )
  )
    return;
  await runCommand(context, { actor: broker }, async (tx, journal) => {
    await lockSigningKeys(tx);
    const at = await databaseNow(tx);
    for (const name of keyNames) {
      const found = await findSigningKeys(tx);
      const gone = await withdrawSigningKeys(tx, name, goneOf(name, keys[name], found), at);
      let before = found.findLast((row) => row.name === name);
      for (const { version, id, cause } of newOf(name, keys[name], found)) {
        // The first one replaces none, and is no event.
        const event =
          before &&
          journal.fact(at, null, {
            type: 'key.rotated',
            key: name,
            from: before.key,
            to: id,
            cause: causeOf(cause),
            withdrawn: cause === 'compromised' ? gone.splice(0) : [],
            ...(name === 'ledger' && { until: endOf(at, keys.ledger.times) }),
          });
        const row = { name, version, key: id, recordedAt: at, event: event?.id ?? null };
        await insertSigningKey(tx, row);
        before = { ...row, proof: null, provedAt: null, withdrawnAt: null };
      }
    }
  });
}

/**
 * Until when a key of the ledger counts by itself once its successor is written down. The broker lets it sign a little
 * longer, from the moment when the successor is proved.
 */
function endOf(at: Date, { lead, overlap }: KeyTimes): string {
  return new Date(at.getTime() + lead + overlap).toISOString();
}

type Loaded = ReturnType<KeyRing<unknown>['versions']>[number];

/** Versions that are to be recorded, oldest first. */
function newOf(
  name: KeyName,
  ring: KeyRing<unknown>,
  known: readonly SigningKey[],
): readonly (Loaded & { readonly id: string })[] {
  const recorded = known.filter((row) => row.name === name);
  const versions = ring.versions();
  if (recorded.length === 0) {
    // Nothing was ever rotated here: what signs now is the first that anybody here knows.
    return versions.filter(hasId).filter(({ state }) => state === 'signing');
  }
  const newest = versions.findLastIndex(({ version }) => recorded.some((row) => row.version === version));
  const later = versions.slice(newest + 1).filter(hasId);
  if (name !== 'ledger') return later.filter(({ state }) => ['waiting', 'signing', 'verifying'].includes(state));
  // One at a time: a device follows the ledger's keys step by step, and has to have seen the last one.
  const isBusy = versions.slice(0, newest + 1).some(({ state }) => state === 'waiting' || state === 'not-yet');
  const next = later.find(({ state, cause }) => state === 'not-yet' && cause !== recovering);
  return next && !isBusy ? [next] : [];
}

/** Versions that were taken out of use in the vault, which is not yet known here. */
function goneOf(name: KeyName, ring: KeyRing<unknown>, known: readonly SigningKey[]): string[] {
  const used = known.filter((row) => row.name === name && row.withdrawnAt === null).map(({ version }) => version);
  return ring.versions().flatMap(({ version, key }) => (key === null && used.includes(version) ? [version] : []));
}

function hasId(version: Loaded): version is Loaded & { readonly id: string } {
  return version.id !== null && version.key !== null;
}

function causeOf(tag: string | null): RotationCause {
  return rotationCauses.find((cause) => cause === tag) ?? 'operator';
}
