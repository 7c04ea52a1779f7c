import type { PersonId } from '../domain/ids.ts';
import { nowSql, row, rows, type Tx } from './transaction.ts';

export type Claim =
  | { readonly fresh: true }
  /** The answer is sealed: it may hold names, or a credential. */
  | { readonly fresh: false; readonly bodyHash: Buffer; readonly answer: Buffer };

/**
 * Claims a person's key for a call. A concurrent call with the same key waits here until the first has committed or
 * come to nothing.
 */
export async function claimKey(tx: Tx, person: PersonId, key: string, bodyHash: Buffer): Promise<Claim> {
  for (;;) {
    const claimed = await row<object>(
      tx,
      'claim-key',
      `INSERT INTO idempotent_answers (person, key, body_hash, expires_at)
       VALUES ($1, $2, $3, ${nowSql} + interval '24 hours') ON CONFLICT DO NOTHING RETURNING key`,
      [person, key, bodyHash],
    );
    if (claimed) return { fresh: true };
    const kept = await row<{ body_hash: Buffer; answer: Buffer }>(
      tx,
      'find-answer',
      `SELECT body_hash, answer FROM idempotent_answers WHERE person = $1 AND key = $2 AND expires_at > ${nowSql}`,
      [person, key],
    );
    if (kept) return { fresh: false, bodyHash: kept.body_hash, answer: kept.answer };
    // A key whose 24 hours are over counts as new.
    await rows(
      tx,
      'release-old-key',
      `DELETE FROM idempotent_answers WHERE person = $1 AND key = $2 AND expires_at <= ${nowSql}`,
      [person, key],
    );
  }
}

export async function keepAnswer(tx: Tx, person: PersonId, key: string, answer: Buffer): Promise<void> {
  await rows(tx, 'keep-answer', 'UPDATE idempotent_answers SET answer = $3 WHERE person = $1 AND key = $2', [
    person,
    key,
    answer,
  ]);
}
