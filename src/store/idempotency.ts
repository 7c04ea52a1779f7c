import type { PersonId } from '../domain/ids.ts';
import { nowSql, post, row, rows, type Runner, type Tx } from './transaction.ts';

/** What a person's key was answered with. It is sealed: it may hold names, or a credential. */
export interface KeptAnswer {
  readonly bodyHash: Buffer;
  readonly answer: Buffer;
}

/**
 * Keeps the answer of a call under a person's key, in the transaction of what it did. While another transaction keeps
 * one under the same key, this waits; when that commits, this one fails, and `isKeyTaken` of its error is true.
 */
export function keepAnswer(tx: Tx, person: PersonId, key: string, { bodyHash, answer }: KeptAnswer): void {
  post(
    tx,
    'keep-answer',
    `INSERT INTO idempotent_answers (person, key, body_hash, answer, expires_at)
     VALUES ($1, $2, $3, $4, ${nowSql} + interval '24 hours')`,
    [person, key, bodyHash, answer],
  );
}

/** True of the failure of a transaction that another one with the same key has forestalled. */
export function isKeyTaken(error: unknown): boolean {
  const { code, constraint } = (error ?? {}) as { readonly code?: unknown; readonly constraint?: unknown };
  return code === '23505' && constraint === 'idempotent_answers_pkey';
}

/** The answer kept under a key; null when there is none, or its 24 hours are over. */
export async function findAnswer(runner: Runner, person: PersonId, key: string): Promise<KeptAnswer | null> {
  return row<KeptAnswer>(
    runner,
    'find-answer',
    `SELECT body_hash AS "bodyHash", answer FROM idempotent_answers
     WHERE person = $1 AND key = $2 AND expires_at > ${nowSql}`,
    [person, key],
  );
}

/** Lets go of a key whose 24 hours are over, so that it counts as new. */
export async function releaseOldKey(runner: Runner, person: PersonId, key: string): Promise<void> {
  await rows(
    runner,
    'release-old-key',
    `DELETE FROM idempotent_answers WHERE person = $1 AND key = $2 AND expires_at <= ${nowSql}`,
    [person, key],
  );
}
