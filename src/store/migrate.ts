import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { runner } from 'node-pg-migrate';
import type { Pool } from './pool.ts';

const directory = fileURLToPath(new URL('../../migrations', import.meta.url));
const table = 'schema_migrations';

/**
 * Brings the schema up to date, each migration in a transaction of its own, one process at a time.
 * @param adminUrl a role that is `latchkey_admin`, or may make roles and objects.
 * @returns the names of the migrations that were applied now.
 */
export async function migrate(adminUrl: string): Promise<string[]> {
  const client = new Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const applied = await runner({
      dbClient: client,
      dir: directory,
      migrationsTable: table,
      direction: 'up',
      singleTransaction: false,
      checkOrder: true,
      // Whoever comes second waits, and then finds nothing to do.
      advisoryLockMode: 'wait',
      log: () => {},
    });
    if (applied.length > 0) {
      // Whoever migrates next may be another member of the role.
      await client.query(`ALTER TABLE ${table} OWNER TO latchkey_admin`);
      await client.query(`GRANT SELECT ON ${table} TO latchkey_app, latchkey_auditor`);
    }
    return applied.map((migration) => migration.name);
  } finally {
    await client.end();
  }
}

/**
 * Requires that the database has just the migrations that this broker knows.
 * @throws Error that names `latchkey migrate`, or the newer schema that this broker is too old for.
 */
export async function requireCurrentSchema(pool: Pool): Promise<void> {
  const files = await readdir(directory);
  const known = files.filter((file) => file.endsWith('.sql')).map((file) => file.slice(0, -'.sql'.length));
  const applied = new Set(await appliedMigrations(pool));
  const missing = known.filter((name) => !applied.has(name));
  if (missing.length > 0) {
    throw new Error(`the database lacks ${missing.join(', ')}: run \`latchkey migrate --config FILE\` first`);
  }
  const newer = [...applied].filter((name) => !known.includes(name));
  if (newer.length > 0) throw new Error(`the database has ${newer.join(', ')}: it belongs to a newer broker than this`);
}

async function appliedMigrations(pool: Pool): Promise<string[]> {
  const found = await pool.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [table]);
  if (!found.rows[0]?.there) return [];
  const { rows } = await pool.query<{ name: string }>(`SELECT name FROM ${table}`);
  return rows.map((row) => row.name);
}
