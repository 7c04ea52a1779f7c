import {
  grantAt,
  type Ending,
  type EndedGrant,
  type Grant,
  type GrantState,
  type LiveGrant,
  type ReviewVerdict,
} from '../domain/grant.ts';
import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../domain/ids.ts';
import type { Commitment } from '../ledger/events.ts';
import { bytes, clockSql, pageOf, withClock, type Listed, type Page, type Seen, type Values } from './listing.ts';
import { nowSql, onceNowSql, post, row, rows, type Runner, type Tx } from './transaction.ts';

/** A grant with what the store alone knows of it. */
export interface StoredGrant {
  readonly grant: Grant;
  /** Seconds, as first granted. */
  readonly duration: number;
  /** The thumbprint of the key that its credentials are bound to, once there was one. */
  readonly keyThumbprint: string | null;
  readonly startRecorded: boolean;
  readonly expiryRecorded: boolean;
  readonly sessions: GrantSessions;
  /** The database's clock when this was read. */
  readonly now: Date;
}

/** How it stands with the sessions of a grant, of which devices have told. */
export interface GrantSessions {
  /** Those that their device has not called ended, whatever became of the grant. */
  readonly open: number;
  /** Those that it has. */
  readonly confirmed: number;
  readonly lastEndedAt: Date | null;
}

interface GrantRow {
  id: GrantId;
  request: RequestId;
  person: PersonId;
  tenant: TenantId;
  profile: string;
  scopes: string[];
  devices: DeviceId[];
  duration: number;
  starts_at: Date;
  expires_at: Date;
  started_at: Date | null;
  expiry_recorded_at: Date | null;
  ending: Ending['state'] | null;
  ended_at: Date | null;
  ended_by: PersonId | null;
  end_reason: string | null;
  key_thumbprint: string | null;
  review_due_at: Date | null;
  review_by: PersonId | null;
  review_verdict: ReviewVerdict | null;
  sessions: readonly [open: number, confirmed: number, lastEndedAt: string | null];
  now: Date;
}

const readFrom = (source: string, now: string): string => `
  SELECT g.id, g.request, g.person, g.tenant, g.profile, g.scopes, g.duration, g.starts_at, g.expires_at, g.started_at,
    g.expiry_recorded_at, g.ending, g.ended_at, g.ended_by, coalesce((SELECT value FROM disclosures WHERE commitment = g.end_reason), g.end_note) AS end_reason,
    g.key_thumbprint, g.review_due_at, g.review_by, g.review_verdict, ${now} AS now,
    (SELECT json_build_array(count(*) - count(s.ended_at), count(s.ended_at), max(s.ended_at))
       FROM sessions s WHERE s.grant_id = g.id) AS sessions,
    (SELECT coalesce(array_agg(d.device::text ORDER BY d.position) FILTER (WHERE d.left_at IS NULL),
       array_agg(d.device::text ORDER BY d.position)) FROM grant_devices d WHERE d.grant_id = g.id) AS devices
  FROM ${source} g`;
const read = readFrom('grants', nowSql);

/** A grant; null when there is none. */
export async function findGrant(runner: Runner, id: GrantId): Promise<StoredGrant | null> {
  const found = await row<GrantRow>(runner, 'find-grant', `${read} WHERE g.id = $1`, [id]);
  return found && parse(found);
}

/** The grants of these ids that exist, in no particular order. */
export async function findGrants(runner: Runner, ids: readonly GrantId[]): Promise<StoredGrant[]> {
  if (ids.length === 0) return [];
  return (await rows<GrantRow>(runner, 'find-grants', `${read} WHERE g.id = ANY ($1)`, [ids])).map(parse);
}

/** As `findGrant`, but the row stays locked until the transaction ends, and `now` is taken after it was. */
export async function lockGrant(tx: Tx, id: GrantId): Promise<StoredGrant | null> {
  // The lock is its own statement: the devices read next must be those committed before the lock was had.
  const [locked, found] = await Promise.all([
    row<object>(tx, 'lock-grant', 'SELECT 1 FROM grants WHERE id = $1 FOR NO KEY UPDATE', [id]),
    findGrant(tx, id),
  ]);
  return locked && found;
}

/**
 * Writes a new grant and the devices it is good for; `startedAt` says that its beginning is recorded with it.
 * @returns those of the devices that are still enrolled.
 */
export async function insertGrant(
  tx: Tx,
  grant: LiveGrant,
  duration: number,
  startedAt: Date | null,
): Promise<Set<DeviceId>> {
  const found = await rows<{ device: DeviceId }>(
    tx,
    'insert-grant',
    `WITH made AS (
       INSERT INTO grants (id, request, person, tenant, profile, scopes, duration, starts_at, expires_at, review_due_at,
         started_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12)
     )
     INSERT INTO grant_devices (grant_id, device, position, expires_at)
     SELECT $1, device, position, $9 FROM unnest($11::text[]) WITH ORDINALITY AS of (device, position)
     JOIN devices d ON d.id = device AND d.unenrolled_at IS NULL
     FOR SHARE OF d
     RETURNING device`,
    [
      grant.id,
      grant.request,
      grant.person,
      grant.tenant,
      grant.profile,
      grant.scopes,
      duration,
      grant.startsAt,
      grant.expiresAt,
      grant.review?.dueAt ?? null,
      grant.devices,
      startedAt,
    ],
  );
  return new Set(found.map((each) => each.device));
}

/** Records that a scheduled grant has begun. */
export async function recordStart(tx: Tx, id: GrantId, at: Date): Promise<void> {
  await rows(tx, 'record-start', 'UPDATE grants SET started_at = $2 WHERE id = $1', [id, at]);
}

/** Moves a grant's end away. */
export async function recordExtension(tx: Tx, id: GrantId, expiresAt: Date): Promise<void> {
  await rows(
    tx,
    'record-extension',
    `WITH extended AS (UPDATE grants SET expires_at = $2 WHERE id = $1)
     UPDATE grant_devices SET expires_at = $2 WHERE grant_id = $1`,
    [id, expiresAt],
  );
}

/**
 * Records an ending before time.
 * @param reason a commitment to a person's words; the broker's own words go into `note` instead.
 */
export async function recordEnding(
  tx: Tx,
  grant: EndedGrant & { readonly ending: Ending },
  reason: Commitment | null,
  note: string | null,
): Promise<void> {
  const { state, at, by } = grant.ending;
  await rows(
    tx,
    'record-ending',
    'UPDATE grants SET ending = $2, ended_at = $3, ended_by = $4, end_reason = $5, end_note = $6 WHERE id = $1',
    [grant.id, state, at, by, bytes(reason), note],
  );
}

/** Fixes the key of a grant at its first credential. */
export function fixKey(tx: Tx, id: GrantId, thumbprint: string): void {
  post(tx, 'fix-key', 'UPDATE grants SET key_thumbprint = $2 WHERE id = $1', [id, thumbprint]);
}

export async function recordReview(
  tx: Tx,
  id: GrantId,
  review: { readonly by: PersonId; readonly verdict: ReviewVerdict; readonly at: Date },
): Promise<void> {
  await rows(
    tx,
    'record-review',
    'UPDATE grants SET review_by = $2, review_verdict = $3, reviewed_at = $4 WHERE id = $1',
    [id, review.by, review.verdict, review.at],
  );
}

/** True when the person, under any of these ids, holds a grant whose review should have been done by now. */
export async function hasOverdueReview(runner: Runner, persons: readonly PersonId[]): Promise<boolean> {
  const found = await row<{ overdue: boolean }>(
    runner,
    'has-overdue-review',
    `SELECT EXISTS (SELECT 1 FROM grants WHERE person = ANY ($1) AND review_due_at <= ${onceNowSql}
       AND review_verdict IS NULL) AS overdue`,
    [persons],
  );
  return found!.overdue;
}

/** Takes grants whose time has run out and says so on them. Skips what others hold: any number of brokers may sweep. */
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

const notEnded = 'x.ending IS NULL AND x.expiry_recorded_at IS NULL';
const listed: Listed<GrantState> = {
  table: 'grants',
  owner: 'person',
  states: {
    scheduled: [`${notEnded} AND x.starts_at > ${clockSql}`],
    active: [`${notEnded} AND x.starts_at <= ${clockSql} AND x.expires_at > ${clockSql}`],
    expired: ['x.ending IS NULL AND x.expiry_recorded_at IS NOT NULL', `${notEnded} AND x.expires_at <= ${clockSql}`],
    revoked: [`x.ending = 'revoked'`],
    released: [`x.ending = 'released'`],
  },
};

/** Grants that somebody may see, newest first. */
export async function listGrants(
  runner: Runner,
  filter: {
    readonly seen: Seen;
    readonly states: readonly GrantState[];
    readonly tenant: string | null;
    readonly device: DeviceId | null;
  },
  wanted: Page<GrantId>,
): Promise<StoredGrant[]> {
  const { device } = filter;
  const ofDevice = (values: Values): string =>
    `x.id IN (SELECT grant_id FROM grant_devices WHERE device = ${values.add(device)})`;
  const { source, values } = pageOf(listed, filter, wanted, device ? [ofDevice] : []);
  const text = `${withClock} ${readFrom(`(${source})`, clockSql)} ORDER BY g.id DESC`;
  return (await rows<GrantRow>(runner, null, text, values.list)).map(parse);
}

function parse(row: GrantRow): StoredGrant {
  const [open, confirmed, lastEndedAt] = row.sessions;
  const grant = grantAt(
    {
      id: row.id,
      request: row.request,
      person: row.person,
      tenant: row.tenant,
      profile: row.profile,
      devices: row.devices,
      scopes: row.scopes,
      startsAt: row.starts_at,
      expiresAt: row.expires_at,
      review: row.review_due_at && { dueAt: row.review_due_at, by: row.review_by, verdict: row.review_verdict },
    },
    row.ending && { state: row.ending, at: row.ended_at!, by: row.ended_by, reason: row.end_reason },
    row.now,
  );
  return {
    grant,
    duration: row.duration,
    keyThumbprint: row.key_thumbprint,
    startRecorded: row.started_at !== null,
    expiryRecorded: row.expiry_recorded_at !== null,
    sessions: { open, confirmed, lastEndedAt: lastEndedAt === null ? null : new Date(lastEndedAt) },
    now: row.now,
  };
}
