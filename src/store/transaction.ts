import type pg from 'pg';
import { translateFailure, type Pool } from './pool.ts';

/** A client inside a transaction. Only `inTransaction` makes one, so whoever holds one is in one. */
export type Tx = Pick<pg.ClientBase, 'query'> & { readonly __transaction: true };

/** Something that runs a single statement: a transaction, or a pool when the statement stands alone. */
export type Runner = Tx | Pool;

/** Makes a transaction come to nothing while its result is still returned: for dry runs. */
export interface TransactionOptions {
  readonly dryRun?: boolean;
}

const mayTryAgain = new Set(['40001', '40P01']);
const tries = 4;

/**
 * Runs `work` in one transaction: all of it is committed, or nothing. Deadlocks and serialization failures are tried
 * again from the start, so `work` must not act outside the database.
 * @throws unavailable when the database cannot serve; after a lost connection during COMMIT nobody knows whether it
 *   took place, and a retry under the same idempotency key finds out.
 */
export async function inTransaction<T>(
  pool: Pool,
  work: (tx: Tx) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await runOnce(pool, work, options.dryRun ?? false);
    } catch (error) {
      const code = (error as { code?: unknown } | null)?.code;
      if (attempt < tries && typeof code === 'string' && mayTryAgain.has(code)) continue;
      throw translateFailure(error);
    }
  }
}

async function runOnce<T>(pool: Pool, work: (tx: Tx) => Promise<T>, dryRun: boolean): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const onError = (error: Error): void => {
    broken = error;
  };
  client.on('error', onError);
  try {
    await client.query('BEGIN');
    const result = await work({ query: client.query.bind(client), __transaction: true });
    await client.query(dryRun ? 'ROLLBACK' : 'COMMIT');
    return result;
  } catch (error) {
    // A connection that cannot even roll back is thrown away rather than handed to the next caller mid-transaction.
    await client.query('ROLLBACK').catch((failed: Error) => {
      broken = failed;
    });
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

/**
 * Runs `work` so that its failure undoes only what it did, not the transaction around it. After a success the savepoint
 * is left to the end of the transaction, which releases it without a round trip of its own.
 */
export async function inSavepoint<T>(tx: Tx, work: () => Promise<T>): Promise<T> {
  await tx.query('SAVEPOINT step');
  try {
    return await work();
  } catch (error) {
    await tx.query('ROLLBACK TO SAVEPOINT step');
    throw error;
  }
}

/**
 * Runs one statement. It stays prepared under its name, which must belong to that very text; without a name it is
 * planned for its values each time, as lists are whose best plan depends on them.
 */
export async function rows<Row>(
  runner: Runner,
  name: string | null,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  try {
    const result = await runner.query({ ...(name !== null && { name }), text, values });
    return result.rows as Row[];
  } catch (error) {
    throw '__transaction' in runner ? error : translateFailure(error);
  }
}

/** As `rows`, for a statement that gives one row or none. */
export async function row<Row>(
  runner: Runner,
  name: string,
  text: string,
  values: unknown[] = [],
): Promise<Row | null> {
  return (await rows<Row>(runner, name, text, values))[0] ?? null;
}

/** The database's clock, to the millisecond, rounded down. In a transaction: call it after the row is locked. */
export const nowSql = `date_trunc('milliseconds', clock_timestamp())`;

/**
 * The same, read once in a statement: `clock_timestamp()` itself differs from row to row, so no index is searched by it.
 */
export const onceNowSql = `(SELECT ${nowSql})`;

export async function databaseNow(runner: Runner): Promise<Date> {
  const found = await row<{ now: Date }>(runner, 'now', `SELECT ${nowSql} AS now`);
  return found!.now;
}
