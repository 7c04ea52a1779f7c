import { createHash, randomBytes } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { escapeIdentifier } from 'pg';
import type { Client } from 'pg';
import { ensureDatabase, ensureRoles, roleUrl, withClient } from '../../src/development/postgres-roles.ts';
import type { RolePasswords } from '../../src/development/postgres-roles.ts';
import { migrate } from '../../src/store/migrate.ts';
import { startTestServer } from './test-server.ts';
import type { TestServer } from './test-server.ts';

export interface TestDatabase {
  readonly name: string;
  readonly adminUrl: string;
  readonly appUrl: string;
  readonly auditorUrl: string;
  readonly superuserUrl: string;
  /** Removes it, whoever is still connected. */
  drop(): Promise<void>;
}

/** Only one process at a time makes the template; the others wait for it. */
const templateLock = 7_400_001;

/**
 * A fresh, migrated database on the run's server: a copy of a template that is migrated once per run, however many files
 * run at once. Without `npm test` around it, the file's process starts a server of its own and ends it when it is done.
 */
export async function newTestDatabase(): Promise<TestDatabase> {
  const server = await testServer();
  const passwords = passwordsOf(server);
  const template = `latchkey_template_${migrationsDigest()}`;
  const name = `latchkey_${randomBytes(8).toString('hex')}`;
  await withClient(server, async (client) => {
    await ensureTemplate(client, server, template, passwords);
    await client.query(`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE ${template} OWNER latchkey_admin`);
  });
  return {
    name,
    adminUrl: roleUrl(server, 'admin', passwords, name),
    appUrl: roleUrl(server, 'app', passwords, name),
    auditorUrl: roleUrl(server, 'auditor', passwords, name),
    superuserUrl: databaseUrl(server, name),
    drop: () =>
      withClient(server, async (client) => {
        await client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`);
      }),
  };
}

/** The template gets its name when it is whole, so a run that was broken off leaves none that is half migrated. */
async function ensureTemplate(client: Client, server: string, name: string, passwords: RolePasswords): Promise<void> {
  if (await hasDatabase(client, name)) return;
  await client.query('SELECT pg_advisory_lock($1)', [templateLock]);
  try {
    if (await hasDatabase(client, name)) return;
    const draft = `${name}_draft`;
    await client.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`);
    await ensureRoles(client, passwords);
    await ensureDatabase(client, draft);
    await migrate(roleUrl(server, 'admin', passwords, draft));
    await client.query(`ALTER DATABASE ${draft} RENAME TO ${name}`);
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [templateLock]);
  }
}

async function hasDatabase(client: Client, name: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  return rowCount === 1;
}

let ownServer: Promise<TestServer> | undefined;
// Not a hook: those of this module would run before the file's own, which still speak to the server.
process.once('beforeExit', () => void ownServer?.then((server) => server.stop()));

/** The superuser's URL of the server that `npm test` started, or of one of our own. */
async function testServer(): Promise<string> {
  const given = process.env['LATCHKEY_TEST_POSTGRES'];
  if (given) return given;
  ownServer ??= startTestServer();
  return (await ownServer).superuserUrl;
}

/** Roles belong to the whole server, so every process of a run has to come to the same passwords. */
function passwordsOf(server: string): RolePasswords {
  const derive = (role: string): string => createHash('sha256').update(`${role} ${server}`).digest('base64url');
  return { admin: derive('admin'), app: derive('app'), auditor: derive('auditor') };
}

function migrationsDigest(): string {
  const directory = fileURLToPath(new URL('../../migrations', import.meta.url));
  const hash = createHash('sha256');
  for (const file of globSync('**/*.sql', { cwd: directory }).sort()) {
    hash.update(file).update(readFileSync(join(directory, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}
