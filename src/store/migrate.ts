import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { runner } from 'node-pg-migrate';

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
      log: () => {},
    });
    await client.query(`GRANT SELECT ON ${table} TO latchkey_app, latchkey_auditor`);
    return applied.map((migration) => migration.name);
  } finally {
    await client.end();
  }
}
