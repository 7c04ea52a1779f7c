import { LatchkeyError } from '../domain/errors.ts';
import type { DeviceId, GrantId, PersonId } from '../domain/ids.ts';
import { nowSql, onceNowSql, post, rows, type Runner, type Tx } from './transaction.ts';

/** A grant as a device is told of it. */
export interface ListedGrant {
  readonly id: GrantId;
  readonly person: PersonId;
  readonly scopes: readonly string[];
  readonly startsAt: Date;
  readonly expiresAt: Date;
}

/** What is live on a device, as read from the primary at `readAt`. */
export interface LiveList {
  readonly device: DeviceId;
  readonly version: number;
  readonly grants: readonly ListedGrant[];
  /** Which generation of its password the device is to have, and which it has; null for one without. */
  readonly localAdmin: { readonly wanted: number; readonly confirmed: number } | null;
  readonly readAt: Date;
}

/**
 * Raises the version of these devices' lists, in the transaction that changes them: to one more, or to the
 * milliseconds since the epoch if that is larger. Devices are taken in order, so that two such transactions never
 * wait for each other.
 */
export function raiseLiveVersions(tx: Tx, devices: readonly DeviceId[]): void {
  post(
    tx,
    'raise-live-versions',
    `INSERT INTO live_versions (device, version, changed_at)
     SELECT device, floor(extract(epoch FROM ${nowSql}) * 1000)::bigint, ${nowSql} FROM unnest($1::text[]) AS of (device)
     ORDER BY device
     ON CONFLICT (device) DO UPDATE SET version = greatest(live_versions.version + 1, EXCLUDED.version),
       changed_at = EXCLUDED.changed_at`,
    [[...new Set(devices)].sort()],
  );
}

/**
 * The lists of these devices, each with its version, from one snapshot. Equal versions carry equal grants: a grant
 * whose time has run out stays listed, with its end in the past, until its end is recorded and the version raised.
 * Devices that are not enrolled have no list.
 * @throws unavailable by a server that takes no changes: a standby, or a primary that was retired, may not know that a
 *   grant has ended.
 */
export async function readLiveLists(runner: Runner, devices: readonly DeviceId[]): Promise<LiveList[]> {
  const found = await rows<ListRow>(
    runner,
    'read-live-lists',
    // The statement's own start: a snapshot taken then cannot show anything later, and a later read never says earlier.
    `SELECT server.retired, v.device, v.version, date_trunc('milliseconds', statement_timestamp()) AS read_at, (
       SELECT json_agg(json_build_object('id', g.id, 'person', g.person, 'scopes', g.scopes, 'startsAt', g.starts_at,
         'expiresAt', g.expires_at) ORDER BY g.id)
       FROM grant_devices gd JOIN grants g ON g.id = gd.grant_id
       WHERE gd.device = v.device AND gd.left_at IS NULL AND gd.expires_at > statement_timestamp() - interval '1 day'
         AND g.ending IS NULL AND g.expiry_recorded_at IS NULL AND g.started_at IS NOT NULL
     ) AS grants,
       (SELECT json_build_object('wanted', s.wanted, 'confirmed', s.confirmed) FROM device_secrets s
        WHERE s.device = v.device) AS local_admin
     FROM (SELECT current_setting('transaction_read_only')::boolean AS retired) AS server
     LEFT JOIN live_versions v
       ON v.device = ANY ($1) AND (SELECT unenrolled_at IS NULL FROM devices WHERE id = v.device)`,
    [devices],
  );
  if (found[0]?.retired !== false) {
    throw new LatchkeyError('unavailable', 'the database takes no changes: it is not the primary', { retryAfter: 1 });
  }
  return found.flatMap(listOf);
}

interface ListRow {
  readonly retired: boolean;
  readonly device: DeviceId | null;
  readonly version: number;
  readonly read_at: Date;
  readonly grants: { id: GrantId; person: PersonId; scopes: string[]; startsAt: string; expiresAt: string }[] | null;
  readonly local_admin: LiveList['localAdmin'];
}

function listOf({ device, version, read_at: readAt, grants, local_admin: localAdmin }: ListRow): LiveList[] {
  // The one row there is when no device has a list.
  if (device === null) return [];
  const listed = (grants ?? []).map((grant) => ({
    ...grant,
    startsAt: new Date(grant.startsAt),
    expiresAt: new Date(grant.expiresAt),
  }));
  return [{ device, version, readAt, grants: listed, localAdmin }];
}

/**
 * The versions of the lists that changed in the last seconds. A change is dated before it is committed, so whoever
 * polls must look back further than the longest transaction and compare versions with what was sent.
 */
export async function recentVersions(
  runner: Runner,
  seconds: number,
): Promise<{ device: DeviceId; version: number }[]> {
  return rows(
    runner,
    'recent-versions',
    'SELECT device, version FROM live_versions WHERE changed_at > (SELECT clock_timestamp()) - make_interval(secs => $1)',
    [seconds],
  );
}

/** The grants that have not ended and that a device belongs to. */
export async function grantsLiveOn(tx: Tx, device: DeviceId): Promise<GrantId[]> {
  const found = await rows<{ grant: GrantId }>(
    tx,
    'grants-live-on',
    `SELECT gd.grant_id AS "grant" FROM grant_devices gd JOIN grants g ON g.id = gd.grant_id
     WHERE gd.device = $1 AND gd.left_at IS NULL AND gd.expires_at > ${onceNowSql} AND g.ending IS NULL`,
    [device],
  );
  return found.map((each) => each.grant);
}

/** Takes a device out of every live grant. @returns those grants, and for each how many devices are left. */
export async function leaveGrants(
  tx: Tx,
  device: DeviceId,
  at: Date,
): Promise<{ readonly grant: GrantId; readonly left: number }[]> {
  return rows(
    tx,
    'leave-grants',
    `WITH leaving AS (
       UPDATE grant_devices SET left_at = $2 WHERE device = $1 AND left_at IS NULL AND expires_at > $2
         AND EXISTS (SELECT 1 FROM grants g WHERE g.id = grant_id AND g.ending IS NULL)
       RETURNING grant_id
     )
     SELECT grant_id AS "grant", (
       SELECT count(*) FROM grant_devices gd WHERE gd.grant_id = leaving.grant_id AND gd.device <> $1 AND gd.left_at IS NULL
     ) AS left FROM leaving`,
    [device, at],
  );
}
