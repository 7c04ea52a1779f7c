import type { Socket } from 'node:net';
import type pg from 'pg';
import { translateFailure, type Pool } from './pool.ts';

export interface Statement extends pg.QueryConfig {
  /** Outside its transaction it would change nothing: it need not wait until that is known to have begun. */
  readonly harmlessAlone?: true;
}

/** A client inside a transaction. Only `inTransaction` makes one, so whoever holds one is in one. */
export interface Tx {
  query(statement: Statement): Promise<pg.QueryResult>;
  /** As `query`, but nobody waits for the answer: should it fail, the transaction does, at its commit at the latest. */
  post(statement: Statement): void;
  readonly __transaction: true;
}

/** Something that runs a single statement: a transaction, or a pool when the statement stands alone. */
export type Runner = Tx | Pool;

/** Makes a transaction come to nothing while its result is still returned: for dry runs. */
export interface TransactionOptions {
  readonly dryRun?: boolean;
}

const mayTryAgain: ReadonlySet<unknown> = new Set(['40001', '40P01']);
const readOnly = '25006';
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
      if (attempt < tries && mayTryAgain.has(codeOf(error))) continue;
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
  const statements = beginOn(client);
  try {
    const result = await work(statements.tx);
    await statements.end(dryRun ? 'ROLLBACK' : 'COMMIT');
    return result;
  } catch (error) {
    // A connection that cannot even roll back is thrown away rather than handed to the next caller mid-transaction.
    await client.query('ROLLBACK').catch((failed: Error) => {
      broken = failed;
    });
    const cause = statements.causeOf(error);
    // Nor one to a server that takes no changes any more: where its name leads now, there may be one that does.
    if (codeOf(cause) === readOnly) broken = cause as Error;
    throw cause;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

/** The SQLSTATE of what PostgreSQL reported. */
function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}

interface Statements {
  readonly tx: Tx;
  /** Ends the transaction. @throws when anything in it has failed. */
  end(how: 'COMMIT' | 'ROLLBACK'): Promise<void>;
  /** Once a statement has failed, those behind it only say that: what the first one said. */
  causeOf(error: unknown): unknown;
}

/**
 * Begins a transaction on a pipelined connection: statements go out in the order in which they are asked for, without
 * waiting for the answers of those before. Those of one turn of the event loop travel together, `BEGIN` with the first
 * and `COMMIT` with the last: on the way to the database and back, most of what a statement costs is the journey.
 */
function beginOn(client: pg.PoolClient): Statements {
  const send = sendTogether(client);
  const failures: unknown[] = [];
  let begun = false;
  const beginning = send({ text: 'BEGIN' }).then(() => (begun = true));
  beginning.catch(() => {});
  let held = false;

  const query: Tx['query'] = (statement) => {
    // INVARIANT: nothing is written before the transaction is known to have begun: were `BEGIN` alone to fail, it would
    // stand by itself. What waits is followed by all that comes after it.
    held ||= !begun && !statement.harmlessAlone && !/^\s*SELECT\b/.test(statement.text);
    const answer = begun || !held ? send(statement) : beginning.then(() => send(statement));
    answer.catch((error: unknown) => failures.push(error));
    return answer;
  };
  return {
    tx: { query, post: (statement) => void query(statement), __transaction: true },
    causeOf: (error) => (failures.includes(error) ? failures[0] : error),
    async end(how) {
      // Answers come in the order of the statements: with this one, all have come.
      const ended = await query({ text: how });
      if (failures.length > 0) throw failures[0];
      // PostgreSQL answers the `COMMIT` of a transaction that has failed with `ROLLBACK`.
      if (ended.command !== how) throw new Error(`the transaction ended with ${ended.command}`);
    },
  };
}

/** Holds back what is written to the connection until this turn of the event loop is over. */
function sendTogether(client: pg.PoolClient): (statement: pg.QueryConfig) => Promise<pg.QueryResult> {
  const { stream } = (client as pg.PoolClient & { readonly connection: { readonly stream: Socket } }).connection;
  let holding = false;
  return (statement) => {
    if (!holding) {
      holding = true;
      stream.cork();
      process.nextTick(() => {
        holding = false;
        stream.uncork();
      });
    }
    return client.query(statement);
  };
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

/** The one, or none. */
export function present<T>(found: T | null): T[] {
  return found === null ? [] : [found];
}

/** Sends one statement of a transaction whose answer says nothing; see `Tx.post`. */
export function post(tx: Tx, name: string, text: string, values: unknown[]): void {
  tx.post({ name, text, values });
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
