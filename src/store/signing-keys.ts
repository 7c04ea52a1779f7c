import type { EventId } from '../domain/ids.ts';
import { nowSql, row, rows, type Runner, type Tx } from './transaction.ts';

/** What is publicly known of a version of a signing key. */
export interface SigningKey {
  readonly name: string;
  readonly version: string;
  readonly key: string;
  readonly recordedAt: Date;
  readonly event: EventId | null;
  readonly proof: string | null;
  readonly provedAt: Date | null;
  readonly withdrawnAt: Date | null;
}

/** The database's clock, and a number that differs whenever what is known of signing keys has changed. */
export async function findKeyChanges(runner: Runner): Promise<{ readonly now: Date; readonly changes: number }> {
  const found = await row<{ now: Date; changes: number }>(
    runner,
    'find-key-changes',
    `SELECT ${nowSql} AS now, coalesce((SELECT sum(changes) FROM signing_keys), 0)::integer AS changes`,
  );
  return found!;
}

/** All that is known, in the order in which it became known. */
export async function findSigningKeys(runner: Runner): Promise<SigningKey[]> {
  return rows(
    runner,
    'find-signing-keys',
    `SELECT name, version, key, recorded_at AS "recordedAt", event, proof, proved_at AS "provedAt",
       withdrawn_at AS "withdrawnAt" FROM signing_keys ORDER BY recorded_at, name, version`,
  );
}

/** Keeps what becomes known of a version. @returns false when it was known already. */
export async function insertSigningKey(
  tx: Tx,
  key: Pick<SigningKey, 'name' | 'version' | 'key' | 'recordedAt' | 'event'>,
): Promise<boolean> {
  const found = await row<object>(
    tx,
    'insert-signing-key',
    `INSERT INTO signing_keys (name, version, key, recorded_at, event) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING RETURNING version`,
    [key.name, key.version, key.key, key.recordedAt, key.event],
  );
  return found !== null;
}

/** Says that versions are not to be used any more. @returns what those are called of which that was not known. */
export async function withdrawSigningKeys(
  tx: Tx,
  name: string,
  versions: readonly string[],
  at: Date,
): Promise<string[]> {
  const found = await rows<{ key: string }>(
    tx,
    'withdraw-signing-keys',
    `UPDATE signing_keys SET withdrawn_at = $3, changes = changes + 1
     WHERE name = $1 AND version = ANY ($2) AND withdrawn_at IS NULL RETURNING key`,
    [name, versions, at],
  );
  return found.map(({ key }) => key);
}

/** Keeps what a verifier of the forerunner follows; the version counts from now on. Whoever comes second changes nothing. */
export async function proveSigningKey(runner: Runner, name: string, version: string, proof: string): Promise<void> {
  await rows(
    runner,
    'prove-signing-key',
    `UPDATE signing_keys SET proof = $3, proved_at = ${nowSql}, changes = changes + 1
     WHERE name = $1 AND version = $2 AND proof IS NULL`,
    [name, version, proof],
  );
}

/** The next version of a key that its forerunner has not proved yet, with the bytes of its event; null when there is none. */
export async function findUnproved(
  runner: Runner,
  name: string,
): Promise<(SigningKey & { readonly event: EventId; readonly bytes: Buffer }) | null> {
  return row(
    runner,
    'find-unproved-key',
    `SELECT k.name, k.version, k.key, k.recorded_at AS "recordedAt", k.event, k.proof, k.proved_at AS "provedAt",
       k.withdrawn_at AS "withdrawnAt", a.bytes
     FROM signing_keys k JOIN audit_events a ON a.id = k.event AND a.at = k.recorded_at
     WHERE k.name = $1 AND k.proof IS NULL AND k.withdrawn_at IS NULL ORDER BY k.recorded_at, k.version LIMIT 1`,
    [name],
  );
}

/**
 * Takes the turn to make the next version of a key, for as long as it lasts (seconds) or until it is given back.
 * @returns false while somebody else has it.
 */
export async function takeKeyTurn(runner: Runner, name: string, seconds: number): Promise<boolean> {
  const found = await row<object>(
    runner,
    'take-key-turn',
    `INSERT INTO key_turns (name, taken_at) VALUES ($1, clock_timestamp())
     ON CONFLICT (name) DO UPDATE SET taken_at = EXCLUDED.taken_at
       WHERE key_turns.taken_at < clock_timestamp() - make_interval(secs => $2)
     RETURNING name`,
    [name, seconds],
  );
  return found !== null;
}

/** Gives the turn back. */
export async function endKeyTurn(runner: Runner, name: string): Promise<void> {
  await rows(runner, 'end-key-turn', `UPDATE key_turns SET taken_at = '-infinity' WHERE name = $1`, [name]);
}

/** Keeps others from recording keys until the end of the transaction, so that each is recorded after its forerunner. */
export async function lockSigningKeys(tx: Tx): Promise<void> {
  await rows(tx, 'lock-signing-keys', `SELECT pg_advisory_xact_lock(hashtextextended('latchkey signing keys', 0))`);
}
