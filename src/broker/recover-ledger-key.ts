import {
  recoveryKeyName,
  isRecovery,
  openRecovery,
  parseRecovery,
  readRecoveryKey,
  type Recovery,
} from '../ledger/key-recovery.ts';
import { LatchkeyError } from '../domain/errors.ts';
import { broker } from '../ledger/events.ts';
import { sameHash } from '../ledger/merkle.ts';
import { treeRoot } from '../ledger/merkle-proof.ts';
import { parseNote } from '../ledger/note.ts';
import { Malformed } from '../ledger/verdict.ts';
import { findLedgerState } from '../store/ledger.ts';
import type { Pool } from '../store/pool.ts';
import {
  findSigningKeys,
  insertSigningKey,
  lockSigningKeys,
  proveSigningKey,
  withdrawSigningKeys,
  type SigningKey,
} from '../store/signing-keys.ts';
import { databaseNow } from '../store/transaction.ts';
import { runCommand } from './command.ts';
import { recovering } from './record-keys.ts';
import { addVersion, type KeysContext } from './rotate-keys.ts';
import { readTree } from './tree-reader.ts';

/**
 * Makes the key that is to take the place of a leaked one, or finds the one that was made for that: it waits in the
 * vault, and signs nothing until the recovery key has named it.
 * @returns its vkey.
 * @throws invalid-request when there is no recovery key.
 */
export async function prepareRecovery(context: KeysContext): Promise<string> {
  requireRecoveryKey(context);
  const find = (): string | null | undefined =>
    context.keys.ledger
      .versions()
      .findLast(({ cause, state, key }) => cause === recovering && state === 'not-yet' && key !== null)?.id;
  const made = find();
  if (made) return made;
  await addVersion(context, 'ledger', recovering);
  await context.keys.ledger.load();
  return find()!;
}

/**
 * Replaces a leaked key of the ledger by the one that the recovery key names. Every key before it is out from then on,
 * whatever it had signed about successors, and the new one signs at once. One transaction says it all: if we stop before
 * it, nothing has happened; after it, every broker finds it, and the next that looks disables the old keys in the vault.
 * The same statement again changes nothing.
 * @param statement a signed note: see `Recovery`.
 * @throws invalid-request when it is not the recovery key's, or names a key that was not prepared here; conflict when it
 *   is older than one that holds, or the database's history is not the one that it lets count.
 */
export async function recoverLedgerKey(context: KeysContext, statement: string): Promise<void> {
  const recovery = open(statement, context);
  const { successor, number } = recovery;
  const known = await findLedgerKeys(context.pool);
  if (known.some(({ proof }) => proof === statement)) return;
  const version = context.keys.ledger.versions().find(({ id, key }) => id === successor && key !== null)?.version;
  if (version === undefined || known.some((each) => each.version === version)) {
    throw invalid('it names a key that was not prepared here: see `latchkey keys prepare-recovery`');
  }
  await requireHistory(context.pool, recovery);
  await runCommand(context, { actor: broker }, async (tx, journal) => {
    await lockSigningKeys(tx);
    const found = await findLedgerKeys(tx);
    if (found.some(({ proof }) => proof !== null && isRecovery(proof) && numberOf(proof) >= number)) {
      throw new LatchkeyError(
        'conflict',
        'a statement of the recovery key with that number, or a later one, holds already',
      );
    }
    const at = await databaseNow(tx);
    const before = found.at(-1)!.key;
    const withdrawn = await withdrawSigningKeys(
      tx,
      'ledger',
      found.map((each) => each.version),
      at,
    );
    const event = journal.fact(at, null, {
      type: 'key.rotated',
      key: 'ledger',
      from: before,
      to: successor,
      cause: 'recovered',
      withdrawn,
      until: at.toISOString(),
      statement,
    });
    await insertSigningKey(tx, { name: 'ledger', version, key: successor, recordedAt: at, event: event.id });
    await proveSigningKey(tx, 'ledger', version, statement);
  });
}

function requireRecoveryKey({ recoveryKey }: KeysContext): string {
  if (recoveryKey !== null) return recoveryKey;
  throw new LatchkeyError(
    'invalid-request',
    'the configuration names no `ledger.recoveryKey`, so nothing can vouch for another key: devices have to enrol anew',
  );
}

function open(statement: string, context: KeysContext): Recovery {
  const { origin } = context;
  const key = readRecoveryKey(requireRecoveryKey(context), origin);
  try {
    return openRecovery(statement, key, origin);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw invalid(`it is no statement of \`${recoveryKeyName(origin)}\`: ${error.message}`);
  }
}

/** INVARIANT: what the new key will sign continues the history that counts, or every verifier would refuse it. */
async function requireHistory(pool: Pool, { size, root }: Recovery): Promise<void> {
  const state = await findLedgerState(pool);
  const own =
    state.size < size ? null : size === 0 ? null : await treeRoot(size, readTree(pool, size, Math.max(0, size - 1)));
  if (size === 0 || (own !== null && sameHash(Buffer.from(own), Buffer.from(root)))) return;
  throw new LatchkeyError(
    'conflict',
    `the database does not continue the history of ${size} entries that the statement lets count`,
  );
}

async function findLedgerKeys(runner: Parameters<typeof findSigningKeys>[0]): Promise<SigningKey[]> {
  return (await findSigningKeys(runner)).filter(({ name }) => name === 'ledger');
}

function numberOf(statement: string): number {
  return parseRecovery(parseNote(statement).text).number;
}

function invalid(message: string): LatchkeyError {
  return new LatchkeyError('invalid-request', message);
}
