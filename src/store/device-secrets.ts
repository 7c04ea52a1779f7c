import type { DeviceId, EventId, GrantId, TenantId } from '../domain/ids.ts';
import { nowSql, onceNowSql, post, row, rows, type Runner, type Tx } from './transaction.ts';

/** How it stands with the local administrator's password of a device. Generations count from one. */
export interface DeviceSecret {
  readonly device: DeviceId;
  readonly tenant: TenantId;
  /** The generation that the device is to have. */
  readonly wanted: number;
  /** The last that it has said it has; 0 before the first. */
  readonly confirmed: number;
  readonly retired: boolean;
  /** Those that the vault holds, oldest first. From the confirmed one onwards, the device may have any of them. */
  readonly generations: readonly Generation[];
}

/** A password in the vault, and the event that commits to it. */
export interface Generation {
  readonly generation: number;
  readonly version: string;
  readonly salt: Buffer;
  readonly event: EventId;
  readonly leaf: Buffer;
}

interface SecretRow {
  readonly device: DeviceId;
  readonly tenant: TenantId;
  readonly wanted: number;
  readonly confirmed: number;
  readonly retired: boolean;
}

const read = `SELECT device, tenant, wanted, confirmed, retired_at IS NOT NULL AS retired FROM device_secrets WHERE device = $1`;

/** Null for a device that never had one. */
export async function findSecret(runner: Runner, device: DeviceId): Promise<DeviceSecret | null> {
  return withGenerations(runner, await row<SecretRow>(runner, 'find-secret', read, [device]));
}

export async function lockSecret(tx: Tx, device: DeviceId): Promise<DeviceSecret | null> {
  return withGenerations(tx, await row<SecretRow>(tx, 'lock-secret', `${read} FOR NO KEY UPDATE`, [device]));
}

async function withGenerations(runner: Runner, found: SecretRow | null): Promise<DeviceSecret | null> {
  if (!found) return null;
  const generations = await rows<Generation>(
    runner,
    'find-secret-generations',
    `SELECT generation, vault_version AS version, salt, event, leaf FROM secret_generations WHERE device = $1
     ORDER BY generation`,
    [found.device],
  );
  return { ...found, generations };
}

/** Writes that a device is to have a first password. Nothing happens when there is a row. */
export async function insertSecret(tx: Tx, device: DeviceId, tenant: TenantId): Promise<void> {
  await rows(
    tx,
    'insert-secret',
    `INSERT INTO device_secrets (device, tenant, wanted, wanted_at) VALUES ($1, $2, 1, ${nowSql}) ON CONFLICT DO NOTHING`,
    [device, tenant],
  );
}

/**
 * Demands a generation of these devices that is newer than the one given for each; where one is demanded already, or
 * the device is out, nothing happens. @returns the devices of which more is demanded now.
 */
export async function demandAfter(
  tx: Tx,
  given: readonly { readonly device: DeviceId; readonly generation: number }[],
): Promise<DeviceId[]> {
  const found = await rows<{ device: DeviceId }>(
    tx,
    'demand-after',
    // In order of device, so that two such transactions never wait for each other.
    `WITH given AS (
       SELECT s.device, max(g.generation) AS generation
       FROM unnest($1::text[], $2::integer[]) AS g (device, generation) JOIN device_secrets s ON s.device = g.device
       GROUP BY s.device
     ), locked AS (
       SELECT s.device, given.generation FROM device_secrets s JOIN given ON given.device = s.device
       WHERE s.wanted <= given.generation AND s.retired_at IS NULL ORDER BY s.device FOR NO KEY UPDATE OF s
     )
     UPDATE device_secrets s SET wanted = locked.generation + 1,
       wanted_at = CASE WHEN s.confirmed < s.wanted THEN s.wanted_at ELSE ${nowSql} END
     FROM locked WHERE s.device = locked.device AND s.wanted <= locked.generation RETURNING s.device`,
    [given.map(({ device }) => device), given.map(({ generation }) => generation)],
  );
  return found.map(({ device }) => device);
}

export async function insertGeneration(tx: Tx, device: DeviceId, made: Generation): Promise<void> {
  await rows(
    tx,
    'insert-secret-generation',
    `INSERT INTO secret_generations (device, generation, vault_version, salt, event, leaf) VALUES ($1, $2, $3, $4, $5, $6)`,
    [device, made.generation, made.version, made.salt, made.event, made.leaf],
  );
}

/**
 * Takes note that a device has a generation that was made for it. @returns whether that is all that is demanded of it;
 * null when it is no news, or no such generation was made.
 */
export async function confirmGeneration(
  tx: Tx,
  device: DeviceId,
  generation: number,
): Promise<{ readonly done: boolean } | null> {
  return row(
    tx,
    'confirm-secret-generation',
    `UPDATE device_secrets SET confirmed = $2, alarmed_at = CASE WHEN wanted > $2 THEN alarmed_at END,
       vault_untidy_since = coalesce(vault_untidy_since, ${nowSql})
     WHERE device = $1 AND confirmed < $2 AND wanted >= $2
       AND EXISTS (SELECT 1 FROM secret_generations WHERE device = $1 AND generation = $2)
     RETURNING wanted = $2 AS done`,
    [device, generation],
  );
}

/** True when the vault was given such a password for the device, and the device may have it. */
export async function isPrepared(tx: Tx, device: DeviceId, generation: number): Promise<boolean> {
  const found = await row<object>(
    tx,
    'is-secret-prepared',
    'SELECT 1 FROM secret_generations WHERE device = $1 AND generation = $2',
    [device, generation],
  );
  return found !== null;
}

/** What was given out, once for a grant and a device. */
export interface Release {
  readonly grant: GrantId;
  readonly device: DeviceId;
  readonly generations: readonly number[];
  /** RFC 7638 thumbprint of the key that it was encrypted to. */
  readonly oneTimeKey: string;
  readonly releasedAt: Date;
  readonly event: EventId;
  readonly leaf: Buffer;
}

export async function findRelease(runner: Runner, grant: GrantId, device: DeviceId): Promise<Release | null> {
  return row<Release>(
    runner,
    'find-secret-release',
    `SELECT grant_id AS "grant", device, generations, one_time_key AS "oneTimeKey", released_at AS "releasedAt", event, leaf
     FROM secret_releases WHERE grant_id = $1 AND device = $2`,
    [grant, device],
  );
}

export function insertRelease(tx: Tx, release: Release): void {
  post(
    tx,
    'insert-secret-release',
    `INSERT INTO secret_releases (grant_id, device, generations, one_time_key, released_at, event, leaf)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      release.grant,
      release.device,
      release.generations,
      release.oneTimeKey,
      release.releasedAt,
      release.event,
      release.leaf,
    ],
  );
}

/** Takes releases that are to be followed by a rotation: their grant is over, or they are so many seconds old. */
export async function takeReleasesToFollow(
  tx: Tx,
  seconds: number,
  limit: number,
): Promise<{ readonly device: DeviceId; readonly generation: number }[]> {
  return rows(
    tx,
    'take-secret-releases',
    `UPDATE secret_releases SET rotation_ordered_at = ${nowSql} WHERE (grant_id, device) IN (
       SELECT r.grant_id, r.device FROM secret_releases r WHERE r.rotation_ordered_at IS NULL
         AND (r.released_at <= ${onceNowSql} - make_interval(secs => $1)
           OR (SELECT g.ending IS NOT NULL OR g.expires_at <= ${onceNowSql} FROM grants g WHERE g.id = r.grant_id))
       ORDER BY r.released_at LIMIT $2 FOR NO KEY UPDATE OF r SKIP LOCKED)
     RETURNING device, (SELECT max(each) FROM unnest(generations) AS of (each)) AS generation`,
    [seconds, limit],
  );
}

/**
 * Takes devices that have not confirmed for so many seconds what is demanded of them, each once; with the grant on which
 * the password was given out last, if it was.
 */
export async function takeOverdueSecrets(
  tx: Tx,
  seconds: number,
  limit: number,
): Promise<{ device: DeviceId; tenant: TenantId; grant: GrantId | null; now: Date }[]> {
  return rows(
    tx,
    'take-overdue-secrets',
    `UPDATE device_secrets s SET alarmed_at = ${nowSql} WHERE device = ANY (ARRAY(
       SELECT device FROM device_secrets WHERE confirmed < wanted AND alarmed_at IS NULL AND retired_at IS NULL
         AND wanted_at <= ${onceNowSql} - make_interval(secs => $1)
       ORDER BY wanted_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED))
     RETURNING device, tenant, alarmed_at AS now, (SELECT r.grant_id FROM secret_releases r
       WHERE r.device = s.device AND r.rotation_ordered_at IS NOT NULL ORDER BY r.released_at DESC LIMIT 1) AS "grant"`,
    [seconds, limit],
  );
}

/** Nothing more is demanded of a device that is out; with `erase` the vault is to forget what it holds of it. */
export async function retireSecret(tx: Tx, device: DeviceId, erase: boolean): Promise<void> {
  await rows(
    tx,
    'retire-secret',
    // Marked anew: whoever is tidying up for an earlier reason does not take this mark away.
    `UPDATE device_secrets SET retired_at = coalesce(retired_at, ${nowSql}), alarmed_at = NULL,
       vault_untidy_since = CASE WHEN $2 THEN ${nowSql} ELSE vault_untidy_since END
     WHERE device = $1`,
    [device, erase],
  );
  await rows(
    tx,
    'follow-releases-of-retired',
    `UPDATE secret_releases SET rotation_ordered_at = ${nowSql} WHERE device = $1 AND rotation_ordered_at IS NULL`,
    [device],
  );
}

/** A device of which the vault holds what it should not. */
export interface Untidy {
  readonly device: DeviceId;
  readonly confirmed: number;
  /** The vault's version of what was confirmed; null when there is none. */
  readonly version: string | null;
  /** Whether that is all that the vault holds of it. */
  readonly erased: boolean;
  readonly since: Date;
}

export async function findUntidySecrets(runner: Runner, limit: number): Promise<Untidy[]> {
  return rows(
    runner,
    'find-untidy-secrets',
    `SELECT s.device, s.confirmed, g.vault_version AS version, d.erased_at IS NOT NULL AS erased,
       s.vault_untidy_since AS since
     FROM device_secrets s JOIN devices d ON d.id = s.device
     LEFT JOIN secret_generations g ON g.device = s.device AND g.generation = s.confirmed
     WHERE s.vault_untidy_since IS NOT NULL ORDER BY s.vault_untidy_since LIMIT $1`,
    [limit],
  );
}

/** The vault has forgotten what it was to forget. A mark that was made meanwhile, for another reason, stays. */
export async function recordTidied(tx: Tx, { device, confirmed, erased, since }: Untidy): Promise<void> {
  await rows(
    tx,
    'forget-secret-generations',
    'DELETE FROM secret_generations WHERE device = $1 AND (generation < $2 OR $3)',
    [device, confirmed, erased],
  );
  await rows(
    tx,
    'record-secret-tidied',
    'UPDATE device_secrets SET vault_untidy_since = NULL WHERE device = $1 AND confirmed = $2 AND vault_untidy_since = $3',
    [device, confirmed, since],
  );
}
