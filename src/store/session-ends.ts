import type { DeviceId, GrantId, SessionId, TenantId } from '../domain/ids.ts';
import { nowSql, onceNowSql, row, rows, type Runner, type Tx } from './transaction.ts';

/** The end of a session, as its own device tells it. */
export interface SessionEnd {
  readonly session: SessionId;
  readonly device: DeviceId;
  readonly grant: GrantId;
  readonly at: Date;
  readonly cause: string;
  readonly lagMs: number;
}

/** Takes note that a session has ended. @returns false when that device has no such open session of that grant. */
export async function endSession(tx: Tx, end: SessionEnd): Promise<boolean> {
  const found = await row<object>(
    tx,
    'end-session',
    `UPDATE sessions SET ended_at = greatest($4, started_at), end_cause = $5, lag_ms = $6
     WHERE id = $1 AND device = $2 AND grant_id = $3 AND ended_at IS NULL RETURNING id`,
    [end.session, end.device, end.grant, end.at, end.cause, end.lagMs],
  );
  return found !== null;
}

/** Keeps the end of a session that nobody has told the beginning of yet; of several, the first. */
export async function keepEarlyEnd(tx: Tx, end: SessionEnd): Promise<void> {
  await rows(
    tx,
    'keep-early-end',
    `INSERT INTO early_session_ends (session, device, grant_id, ended_at, end_cause, lag_ms)
     SELECT $1::text, $2, $3, $4::timestamptz, $5, $6::integer WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE id = $1) ON CONFLICT DO NOTHING`,
    [end.session, end.device, end.grant, end.at, end.cause, end.lagMs],
  );
}

/** The end of a session that was told before its beginning; it is told once. */
export async function takeEarlyEnd(tx: Tx, session: SessionId, device: DeviceId): Promise<SessionEnd | null> {
  return row<SessionEnd>(
    tx,
    'take-early-end',
    `DELETE FROM early_session_ends WHERE session = $1 AND device = $2
     RETURNING session, device, grant_id AS "grant", ended_at AS at, end_cause AS cause, lag_ms AS "lagMs"`,
    [session, device],
  );
}

/** Forgets ends whose beginning would no longer be taken. */
export async function forgetEarlyEnds(runner: Runner, before: Date): Promise<void> {
  await rows(runner, 'forget-early-ends', 'DELETE FROM early_session_ends WHERE ended_at < $1', [before]);
}

/**
 * Takes sessions that have no business any more and whose end nobody has confirmed for so many seconds: their grant has
 * ended, or their device has left it. Each is taken once; what another broker holds is skipped. The wait begins anew
 * where the broker has learned of the session only afterwards.
 */
export async function takeUnconfirmed(
  tx: Tx,
  seconds: number,
  limit: number,
): Promise<{ id: SessionId; tenant: TenantId; now: Date }[]> {
  // One lookup by key for each open session: a join would be free to read all grants instead.
  return rows(
    tx,
    'take-unconfirmed',
    `UPDATE sessions SET alarmed_at = ${nowSql} WHERE id = ANY (ARRAY(
       SELECT s.id FROM sessions s WHERE s.ended_at IS NULL AND s.alarmed_at IS NULL AND greatest(s.started_at, least(
         (SELECT coalesce(g.ended_at, g.expires_at) FROM grants g WHERE g.id = s.grant_id),
         (SELECT d.left_at FROM grant_devices d WHERE d.grant_id = s.grant_id AND d.device = s.device)
       )) <= ${onceNowSql} - make_interval(secs => $1)
       LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED))
     RETURNING id, tenant, alarmed_at AS now`,
    [seconds, limit],
  );
}
