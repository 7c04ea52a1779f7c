import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../domain/ids.ts';
import { findGrant, type StoredGrant } from './grants.ts';
import { nowSql, onceNowSql, row, rows, type Runner, type Tx } from './transaction.ts';

// What the clock has brought about and nobody has recorded yet. Each statement skips what others hold: any number of
// brokers may sweep.

/** Takes grants whose time has run out and says so on them. */
export async function expireDue(
  tx: Tx,
  limit: number,
): Promise<{ id: GrantId; tenant: TenantId; expiresAt: Date; devices: DeviceId[]; now: Date }[]> {
  return rows(
    tx,
    'expire-due',
    `UPDATE grants SET expiry_recorded_at = ${nowSql}
     WHERE id = ANY (ARRAY(
       SELECT id FROM grants WHERE ending IS NULL AND expiry_recorded_at IS NULL AND expires_at <= ${onceNowSql}
       ORDER BY expires_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
     ))
     RETURNING id, tenant, expires_at AS "expiresAt", expiry_recorded_at AS now,
       (SELECT array_agg(d.device::text) FROM grant_devices d WHERE d.grant_id = grants.id) AS devices`,
    [limit],
  );
}

/** One grant that should have begun and is not recorded as begun, locked; null when there is none to be had. */
export async function lockDueToStart(tx: Tx): Promise<StoredGrant | null> {
  const found = await row<{ id: GrantId }>(
    tx,
    'lock-due-to-start',
    `SELECT id FROM grants
     WHERE started_at IS NULL AND ending IS NULL AND expiry_recorded_at IS NULL AND starts_at <= ${onceNowSql}
       AND expires_at > ${nowSql}
     ORDER BY starts_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED`,
  );
  return found && findGrant(tx, found.id);
}

/** Grants whose review is overdue and for which no such alarm was ever raised. */
export async function findOverdueReviews(
  tx: Tx,
  limit: number,
): Promise<{ id: GrantId; tenant: TenantId; person: PersonId; profile: string; now: Date }[]> {
  return rows(
    tx,
    'find-overdue-reviews',
    `SELECT g.id, g.tenant, g.person, g.profile, ${nowSql} AS now FROM grants g
     WHERE review_due_at <= ${onceNowSql} AND review_due_at IS NOT NULL AND review_verdict IS NULL
       AND NOT EXISTS (SELECT 1 FROM alarms a WHERE a.kind = 'review-overdue' AND a.subject = g.id)
     ORDER BY review_due_at LIMIT $1 FOR NO KEY UPDATE OF g SKIP LOCKED`,
    [limit],
  );
}

/** When the next thing is due by the clock: a start, an end, a lapse or a review; with the database's own time. */
export async function nextDue(runner: Runner): Promise<{ due: Date | null; now: Date }> {
  const found = await row<{ due: Date | null; now: Date }>(
    runner,
    'next-due',
    `SELECT least(
       (SELECT min(expires_at) FROM grants WHERE ending IS NULL AND expiry_recorded_at IS NULL),
       (SELECT min(starts_at) FROM grants WHERE started_at IS NULL AND ending IS NULL AND expiry_recorded_at IS NULL),
       (SELECT min(lapses_at) FROM requests WHERE state = 'pending'),
       (SELECT min(review_due_at) FROM grants WHERE review_due_at IS NOT NULL AND review_verdict IS NULL
          AND review_due_at > ${onceNowSql})
     ) AS due, ${nowSql} AS now`,
  );
  return found!;
}

/** Lapses pending requests whose time is up. */
export async function lapseDue(tx: Tx, limit: number): Promise<{ id: RequestId; tenant: TenantId; now: Date }[]> {
  return rows(
    tx,
    'lapse-due',
    `UPDATE requests SET state = 'lapsed', decided_at = lapses_at
     WHERE id = ANY (ARRAY(
       SELECT id FROM requests WHERE state = 'pending' AND lapses_at <= ${onceNowSql}
       ORDER BY lapses_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
     )) RETURNING id, tenant, ${nowSql} AS now`,
    [limit],
  );
}
