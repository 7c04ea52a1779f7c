import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPool } from '../../src/store/pool.ts';
import { migrate, requireCurrentSchema } from '../../src/store/migrate.ts';
import { roleUrl } from '../../src/development/postgres-roles.ts';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';
import { connect } from '../support/sql.ts';
import { describeSchema } from './schema.ts';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const migrations = globSync(file('../../migrations/*.sql')).sort();
const names = migrations.map((path) => basename(path, '.sql'));

test('a migration never changes once it has landed', () => {
  const landed = JSON.parse(readFileSync(file('migrations.json'), 'utf8')) as Record<string, string>;
  const now = Object.fromEntries(
    migrations.map((path) => [basename(path), createHash('sha256').update(readFileSync(path)).digest('hex')]),
  );
  assert.deepEqual(now, landed, 'what changes a schema that others have is a new migration, with its line in the list');
});

describe('on a database that is there already', () => {
  let database: TestDatabase;
  before(async () => {
    database = await newTestDatabase();
  });
  after(() => database.drop());

  test('the schema is the one that is written down', async () => {
    const client = await connect(database.superuserUrl);
    try {
      assert.equal(await describeSchema(client), readFileSync(file('schema.txt'), 'utf8'));
    } finally {
      await client.end();
    }
  });

  test('migrating again changes nothing', async () => {
    assert.deepEqual(await migrate(database.adminUrl), []);
    assert.deepEqual(await migrate(database.superuserUrl), []);
  });

  test('a broker starts on its own schema, and on no older or newer one', async () => {
    const client = await connect(database.superuserUrl);
    const pool = openPool({ url: database.appUrl });
    try {
      await requireCurrentSchema(pool);
      await client.query("INSERT INTO schema_migrations (name, run_on) VALUES ('9999_later', now())");
      await assert.rejects(requireCurrentSchema(pool), /has 9999_later: it belongs to a newer broker/);
      await client.query('DELETE FROM schema_migrations WHERE name = ANY ($1)', [['9999_later', names.at(-1)]]);
      await assert.rejects(requireCurrentSchema(pool), new RegExp(`lacks ${names.at(-1)}: run \`latchkey migrate`));
      await client.query('DROP TABLE schema_migrations');
      await assert.rejects(requireCurrentSchema(pool), new RegExp(`lacks ${names.join(', ')}`));
    } finally {
      await pool.end();
      await client.end();
    }
  });
});

describe('on a server that has never heard of Latchkey', () => {
  let server: TestServer;
  const password = randomBytes(12).toString('hex');
  const at = (database: string, user?: string): string => {
    const url = new URL(server.superuserUrl);
    url.pathname = `/${database}`;
    if (user) [url.username, url.password] = [user, password];
    return url.href;
  };
  const sql = async (...statements: string[]): Promise<void> => {
    const client = await connect(at('postgres'));
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  };
  before(async () => {
    server = await startTestServer();
    const client = await connect(at('postgres'));
    const { rows } = await client.query<{ name: string }>(
      `SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'`,
    );
    await client.end();
    await sql(
      ...rows.map(({ name }) => `DROP DATABASE "${name}"`),
      'DROP ROLE IF EXISTS latchkey_app, latchkey_auditor, latchkey_admin',
    );
  });
  after(() => server.stop());

  test('whoever administers a managed server, and is no superuser, can migrate; the roles are made', async () => {
    await sql(
      `CREATE ROLE managed LOGIN CREATEROLE CREATEDB PASSWORD '${password}'`,
      'CREATE DATABASE fleet OWNER managed',
    );
    assert.deepEqual(await migrate(at('fleet', 'managed')), names);
    const client = await connect(at('fleet'));
    try {
      assert.equal(await describeSchema(client), readFileSync(file('schema.txt'), 'utf8'));
      const { rows } = await client.query(
        `SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
      );
      assert.deepEqual(rows, [{ owner: 'latchkey_admin' }]);
    } finally {
      await client.end();
    }
  });

  test('a second database of the same server shares the roles', async () => {
    await sql('CREATE DATABASE second');
    assert.deepEqual(await migrate(at('second')), names);
  });

  test('of several that migrate at once one does, and the others wait for it', async () => {
    await sql('CREATE DATABASE contested');
    const applied = await Promise.all(Array.from({ length: 4 }, () => migrate(at('contested'))));
    assert.deepEqual(
      applied.filter((each) => each.length > 0),
      [names],
    );
  });

  test('after a superuser has migrated, the schema’s owner can', async () => {
    await sql(`ALTER ROLE latchkey_admin LOGIN PASSWORD '${password}'`, 'CREATE DATABASE handed');
    await migrate(at('handed'));
    const passwords = { admin: password, app: password, auditor: password };
    const client = await connect(at('handed'));
    await client.query('DELETE FROM schema_migrations');
    await client.query('INSERT INTO schema_migrations (name, run_on) SELECT unnest($1::text[]), now()', [names]);
    await client.end();
    assert.deepEqual(await migrate(roleUrl(server.superuserUrl, 'admin', passwords, 'handed')), []);
  });

  test('where everybody may make tables, and that cannot be changed, migrating refuses', async () => {
    await sql('CREATE DATABASE open OWNER postgres');
    const client = await connect(at('open'));
    await client.query(
      'ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO PUBLIC; GRANT CREATE ON DATABASE open TO managed WITH GRANT OPTION',
    );
    await client.end();
    await assert.rejects(migrate(at('open', 'managed')), /everybody may make tables in the schema `public`/);
  });
});
