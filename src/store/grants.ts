import { grantAt, type Ending, type Grant, type GrantState, type ReviewVerdict } from '../domain/grant.ts';
import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../domain/ids.ts';
import { clockSql, pageOf, withClock, type Listed, type Page, type Seen, type Values } from './listing.ts';
import { nowSql, onceNowSql, present, row, rows, type Runner, type Tx } from './transaction.ts';

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

/** True when there is, or was, such a grant. */
export async function isGiven(runner: Runner, id: GrantId): Promise<boolean> {
  return (await row<object>(runner, 'is-given', 'SELECT 1 FROM grants WHERE id = $1', [id])) !== null;
}

/** The grants of these ids that exist, in no particular order. */
export async function findGrants(runner: Runner, ids: readonly GrantId[]): Promise<StoredGrant[]> {
  if (ids.length === 0) return [];
  // A list of ids is planned anew for its length each time, which costs more than to read the one row.
  if (ids.length === 1) return present(await findGrant(runner, ids[0]!));
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
