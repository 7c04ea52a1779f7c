import { nowSql, onceNowSql, row, type Runner } from './transaction.ts';

/** What the database says of how things stand, for whoever watches over the brokers. */
export interface Gauges {
  readonly grantsLive: number;
  readonly sessionsOpen: number;
  readonly alarmsOpen: number;
  readonly ledgerSize: number;
  /** Events without a position, counted up to a bound. */
  readonly waiting: number;
  /** How long the first of them has waited, in seconds; 0 when none waits. */
  readonly waitingFor: number;
}

/** What is counted up to: beyond it a broker takes nothing new. */
const mostCounted = 60_000;

/** Counts what is open at one moment. Each count reads an index of just what is open, however much there ever was. */
export async function readGauges(runner: Runner): Promise<Gauges> {
  const found = await row<Gauges>(
    runner,
    'read-gauges',
    `SELECT
       (SELECT count(*) FROM grants WHERE ending IS NULL AND expiry_recorded_at IS NULL
          AND starts_at <= ${onceNowSql} AND expires_at > ${onceNowSql}) AS "grantsLive",
       (SELECT count(*) FROM sessions WHERE ended_at IS NULL) AS "sessionsOpen",
       (SELECT count(*) FROM alarms WHERE closed_at IS NULL) AS "alarmsOpen",
       (SELECT size FROM ledger_state) AS "ledgerSize",
       (SELECT count(*) FROM (SELECT 1 FROM ledger_inbox LIMIT ${mostCounted}) AS counted) AS waiting,
       coalesce((SELECT extract(epoch FROM ${nowSql} - at)::float8 FROM ledger_inbox ORDER BY seq LIMIT 1), 0)
         AS "waitingFor"`,
  );
  return found!;
}
