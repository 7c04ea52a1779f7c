import type { DeviceId, PersonId, RequestId, TenantId } from '../domain/ids.ts';
import { newest, Values } from './listing.ts';
import { nowSql, present, row, rows, type Runner, type Tx } from './transaction.ts';

export interface Door {
  readonly url: string;
  readonly certificateSha256: string | null;
}

/** The public half of a device's key (EC P-256). */
export interface DeviceKey {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
}

export interface Device {
  readonly id: DeviceId;
  readonly tenant: TenantId;
  readonly tenantSlug: string;
  readonly tenantRegion: string;
  readonly name: string;
  readonly publicKey: DeviceKey;
  /** To which what only the device may read is encrypted; null when it enrolled none. */
  readonly encryptionKey: DeviceKey | null;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly door: Door | null;
  readonly inUse: boolean;
  readonly lastSeenAt: Date | null;
  readonly enrolledAt: Date;
  readonly unenrolledAt: Date | null;
  readonly erasedAt: Date | null;
}

const readFrom = (source: string): string => `
  SELECT d.id, d.tenant, t.slug AS "tenantSlug", t.region AS "tenantRegion", d.name, d.public_key AS "publicKey",
    d.encryption_key AS "encryptionKey",
    d.facts, d.door, d.in_use AS "inUse", d.last_seen_at AS "lastSeenAt", d.enrolled_at AS "enrolledAt",
    d.unenrolled_at AS "unenrolledAt", d.erased_at AS "erasedAt"
  FROM ${source} d JOIN tenants t ON t.id = d.tenant`;
const read = readFrom('devices');

export async function findDevice(runner: Runner, id: DeviceId): Promise<Device | null> {
  return row<Device>(runner, 'find-device', `${read} WHERE d.id = $1`, [id]);
}

/** The devices of these ids that exist, in no particular order. */
export async function findDevices(runner: Runner, ids: readonly DeviceId[]): Promise<Device[]> {
  // A list of ids is planned anew for its length each time, which costs more than to read the one row.
  if (ids.length === 1) return present(await findDevice(runner, ids[0]!));
  return rows<Device>(runner, 'find-devices', `${read} WHERE d.id = ANY ($1)`, [ids]);
}

export async function lockDevice(tx: Tx, id: DeviceId): Promise<Device | null> {
  return row<Device>(tx, 'lock-device', `${read} WHERE d.id = $1 FOR NO KEY UPDATE OF d`, [id]);
}

/** Those of the devices that are enrolled: they stay so until the transaction ends. */
export async function lockEnrolled(tx: Tx, ids: readonly DeviceId[]): Promise<Set<DeviceId>> {
  const text = 'SELECT id FROM devices WHERE id = ANY ($1::text[]) AND unenrolled_at IS NULL FOR SHARE';
  return idsIn(await rows(tx, 'lock-enrolled', text, [ids]));
}

/** As `lockEnrolled`, of the devices that a request is for; none when it extends a grant. */
export async function lockEnrolledOf(tx: Tx, request: RequestId): Promise<Set<DeviceId>> {
  return idsIn(
    await rows(
      tx,
      'lock-enrolled-of',
      `SELECT id FROM devices WHERE unenrolled_at IS NULL
         AND id = ANY ((SELECT devices FROM requests WHERE id = $1 AND extends IS NULL)::text[]) FOR SHARE`,
      [request],
    ),
  );
}

const idsIn = (found: readonly { readonly id: DeviceId }[]): Set<DeviceId> => new Set(found.map(({ id }) => id));

/** Writes a newly enrolled device with its first, empty list of live grants. @returns false when its key was known. */
export async function insertDevice(
  tx: Tx,
  device: Pick<Device, 'id' | 'tenant' | 'name' | 'publicKey' | 'encryptionKey' | 'facts' | 'enrolledAt'>,
  keyThumbprint: string,
): Promise<boolean> {
  const found = await rows(
    tx,
    'insert-device',
    `INSERT INTO devices (id, tenant, name, public_key, key_thumbprint, facts, enrolled_at, encryption_key)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT ON CONSTRAINT key_must_be_enrolled_once DO NOTHING RETURNING id`,
    [
      device.id,
      device.tenant,
      device.name,
      JSON.stringify(device.publicKey),
      keyThumbprint,
      JSON.stringify(device.facts),
      device.enrolledAt,
      device.encryptionKey && JSON.stringify(device.encryptionKey),
    ],
  );
  return found.length > 0;
}

/** Takes note of what a device says of itself; what is absent stays. */
export async function updateDeviceState(
  runner: Runner,
  id: DeviceId,
  state: {
    readonly inUse?: boolean | undefined;
    readonly facts?: Readonly<Record<string, unknown>> | undefined;
    readonly door?: Door | null | undefined;
    readonly name?: string | undefined;
  },
): Promise<void> {
  await rows(
    runner,
    'update-device-state',
    `UPDATE devices SET in_use = coalesce($2, in_use), facts = coalesce($3, facts),
       door = CASE WHEN $5 THEN $4 ELSE door END, name = coalesce($6, name), last_seen_at = ${nowSql}
     WHERE id = $1 AND unenrolled_at IS NULL`,
    [
      id,
      state.inUse ?? null,
      state.facts ? JSON.stringify(state.facts) : null,
      state.door ? JSON.stringify(state.door) : null,
      state.door !== undefined,
      state.name ?? null,
    ],
  );
}

/** Notes that a device has been heard of, at most once in ten seconds. */
export async function touchDevice(runner: Runner, id: DeviceId): Promise<void> {
  await rows(
    runner,
    'touch-device',
    `UPDATE devices SET last_seen_at = ${nowSql}
     WHERE id = $1 AND unenrolled_at IS NULL AND (last_seen_at IS NULL OR last_seen_at < ${nowSql} - interval '10 seconds')`,
    [id],
  );
}

/** Takes a device out. Its key stays known, so that it never returns. */
export async function recordUnenrolment(tx: Tx, id: DeviceId, at: Date): Promise<void> {
  await rows(
    tx,
    'record-unenrolment',
    'UPDATE devices SET unenrolled_at = $2, door = NULL, in_use = false WHERE id = $1',
    [id, at],
  );
}

/** Erases what was collected about a device that is out: what it said of itself, and which statements were counted. */
export async function recordErasure(tx: Tx, id: DeviceId, at: Date): Promise<void> {
  await rows(
    tx,
    'record-erasure',
    `UPDATE devices SET erased_at = $2, facts = '{}', name = id, last_seen_at = NULL WHERE id = $1`,
    [id, at],
  );
  await rows(tx, 'erase-statements', 'DELETE FROM device_statements WHERE device = $1', [id]);
  await rows(tx, 'erase-early-ends', 'DELETE FROM early_session_ends WHERE device = $1', [id]);
}

/** Devices, newest first: all, or of these tenants; `q` is found in name, id or any of the facts. */
export async function listDevices(
  runner: Runner,
  filter: { readonly slugs: readonly string[] | null; readonly tenant: string | null; readonly q: string | null },
  wanted: { readonly before: DeviceId | null; readonly limit: number },
): Promise<Device[]> {
  const values = new Values();
  const limit = values.add(wanted.limit);
  const where = [];
  if (wanted.before) where.push(`x.id < ${values.add(wanted.before)}`);
  if (filter.q) {
    const pattern = `%${filter.q.toLowerCase().replaceAll(/[\\%_]/g, '\\$&')}%`;
    where.push(`x.search LIKE ${values.add(pattern)}`);
  }
  const tenants = [];
  if (filter.slugs) tenants.push(`slug = ANY (${values.add(filter.slugs)})`);
  if (filter.tenant) tenants.push(`${values.add(filter.tenant)} IN (id, slug)`);
  const way =
    tenants.length > 0
      ? { each: `SELECT id FROM tenants WHERE ${tenants.join(' AND ')}`, where: ['x.tenant = each.id', ...where] }
      : { where };
  const text = `${readFrom(`(${newest('devices', [way], limit)})`)} ORDER BY d.id DESC`;
  return rows<Device>(runner, null, text, values.list);
}

/** Writes a new enrolment code, by the hash of its text. */
export async function insertEnrolmentCode(
  tx: Tx,
  code: {
    readonly hash: Buffer;
    readonly tenant: TenantId;
    readonly createdBy: PersonId;
    readonly createdAt: Date;
    readonly expiresAt: Date;
  },
): Promise<void> {
  await rows(
    tx,
    'insert-enrolment-code',
    `INSERT INTO enrolment_codes (code_hash, tenant, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
    [code.hash, code.tenant, code.createdBy, code.createdAt, code.expiresAt],
  );
}

/** Locks a code that is neither used nor expired; null when there is none. Of many who try at once, one gets it. */
export async function lockEnrolmentCode(
  tx: Tx,
  hash: Buffer,
): Promise<{ tenant: TenantId; createdBy: PersonId } | null> {
  return row(
    tx,
    'lock-enrolment-code',
    `SELECT tenant, created_by AS "createdBy" FROM enrolment_codes
     WHERE code_hash = $1 AND used_by IS NULL AND expires_at > ${nowSql} FOR UPDATE`,
    [hash],
  );
}

export async function useEnrolmentCode(tx: Tx, hash: Buffer, device: DeviceId): Promise<void> {
  await rows(tx, 'use-enrolment-code', 'UPDATE enrolment_codes SET used_by = $2 WHERE code_hash = $1', [hash, device]);
}
