import { generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { Client } from 'pg';
import { newId, type TenantId } from '../../src/domain/ids.ts';
import type { FleetDevice } from './messages.ts';

const batch = 1_000;

/**
 * Writes devices straight into the bench's own database, each with a real key. Enrolling thousands one by one is not
 * what is measured here; no event tells of them.
 * @param doors how many of them people will have sessions on.
 */
export async function insertDevices(
  databaseUrl: string,
  tenant: TenantId,
  count: number,
  doors: number,
): Promise<FleetDevice[]> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  const devices: FleetDevice[] = [];
  try {
    while (devices.length < count) {
      const size = Math.min(batch, count - devices.length);
      const rows = await Promise.all(Array.from({ length: size }, () => newDevice()));
      const values = [tenant, JSON.stringify(rows)];
      await client.query(
        `INSERT INTO devices (id, tenant, name, public_key, key_thumbprint, facts, enrolled_at)
         SELECT id, $1, 'Room', "publicJwk", thumbprint, '{}', now()
         FROM jsonb_to_recordset($2) AS of (id text, "publicJwk" jsonb, thumbprint text)`,
        values,
      );
      await client.query(
        `INSERT INTO live_versions (device, version, changed_at)
         SELECT id, floor(extract(epoch FROM now()) * 1000), now() FROM jsonb_to_recordset($1) AS of (id text)`,
        [JSON.stringify(rows)],
      );
      for (const { id, jwk } of rows) devices.push({ id, jwk, hasDoor: devices.length < doors });
    }
    await client.query('ANALYZE devices, live_versions');
    return devices;
  } finally {
    await client.end();
  }
}

async function newDevice() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = privateKey.export({ format: 'jwk' }) as JWK;
  const { kty, crv, x, y } = jwk as Record<'kty' | 'crv' | 'x' | 'y', string>;
  const publicJwk = { kty, crv, x, y };
  return { id: newId('device', Date.now()), jwk, publicJwk, thumbprint: await calculateJwkThumbprint(publicJwk) };
}
