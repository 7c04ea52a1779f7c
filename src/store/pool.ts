import { Pool as PgPool, types } from 'pg';
import { LatchkeyError } from '../domain/errors.ts';

export interface PoolOptions {
  readonly url: string;
  /** At most so many connections; a call that gets none in time is told to come back (503). */
  readonly size?: number;
  /** How long an answer may take before the connection counts as lost, in milliseconds. */
  readonly answerWithin?: number;
  readonly onIdleError?: (error: Error) => void;
  /** For whoever only looks: the database then refuses every change, whatever the role could do. */
  readonly readOnly?: boolean;
}

export type Pool = PgPool;

types.setTypeParser(types.builtins.INT8, Number);

/** Opens a pool of connections, each with bounds on how long a statement, a lock or an idle transaction may take. */
export function openPool(options: PoolOptions): Pool {
  const pool = new PgPool({
    connectionString: options.url,
    max: options.size ?? 20,
    // Statements of a transaction need not wait for one another's answers; see `inTransaction`.
    pipeline: true,
    connectionTimeoutMillis: 3_000,
    // Once made, a connection stays. A new one has everything to learn, catalogue and plans, and takes the database a
    // tenth of a second of work: let go when it is quiet and made anew in the next rush, it would be what holds it up.
    idleTimeoutMillis: 0,
    statement_timeout: 10_000,
    // Longer than the server's own bound: it is for a network that loses everything and says nothing.
    query_timeout: options.answerWithin ?? 12_000,
    lock_timeout: 5_000,
    idle_in_transaction_session_timeout: 15_000,
    application_name: 'latchkey',
    // Soon enough for whatever stands between us and forgets a connection that is silent for minutes.
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    ...(options.readOnly && { options: '-c default_transaction_read_only=on' }),
  });
  pool.on('error', options.onIdleError ?? (() => {}));
  return pool;
}

/** SQLSTATE classes and codes that say the database cannot serve now, not that the call was wrong. */
const unavailable = /^(08|28|3D000|53|57P|57014|58|55000|55P03|25006|XX|25P03)/;

/** Turns what PostgreSQL or the way to it reports as "not now" into `unavailable`; anything else stays what it is. */
export function translateFailure(error: unknown): unknown {
  if (error instanceof LatchkeyError || !(error instanceof Error)) return error;
  const code = (error as { code?: unknown }).code;
  const lost =
    // No partition yet for the month of what is written: the sweeper makes it.
    (error as { routine?: unknown }).routine === 'ExecFindPartition' ||
    (typeof code === 'string' &&
      (unavailable.test(code) || /^(ECONN|ETIMEDOUT|EPIPE|ENOTFOUND|EHOST|ENET|EAI_)/.test(code))) ||
    /timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client has encountered a connection error|after calling end on the pool|not queryable/.test(
      error.message,
    );
  if (!lost) return error;
  return new LatchkeyError('unavailable', 'the database cannot serve this now', { retryAfter: 1, cause: error });
}
