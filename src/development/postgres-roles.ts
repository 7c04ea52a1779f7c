import { Client, escapeIdentifier, escapeLiteral } from 'pg';
import type { ClientBase } from 'pg';

/** A password for each role that Latchkey signs in with. */
export interface RolePasswords {
  readonly admin: string;
  readonly app: string;
  readonly auditor: string;
}

const attributes = {
  admin: 'LOGIN CREATEROLE',
  app: 'LOGIN',
  auditor: 'LOGIN',
} as const satisfies Record<keyof RolePasswords, string>;

/** Gives the cluster the three roles and their passwords, whatever is there already. What each may do, migrations say. */
export async function ensureRoles(client: ClientBase, passwords: RolePasswords): Promise<void> {
  const { rows } = await client.query<{ name: string }>('SELECT rolname AS name FROM pg_roles');
  const present = new Set(rows.map((row) => row.name));
  for (const key of ['admin', 'app', 'auditor'] as const) {
    const verb = present.has(roleName(key)) ? 'ALTER' : 'CREATE';
    const password = escapeLiteral(passwords[key]);
    await client.query(`${verb} ROLE ${roleName(key)} ${attributes[key]} PASSWORD ${password}`);
  }
}

/** Makes an empty database that belongs to the admin role, unless it is there. */
export async function ensureDatabase(client: ClientBase, name: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  if (rowCount) return;
  await client.query(`CREATE DATABASE ${escapeIdentifier(name)} OWNER ${roleName('admin')}`);
}

/** The URL of the same server for one of the roles and one database. */
export function roleUrl(server: string, role: keyof RolePasswords, passwords: RolePasswords, database: string): string {
  const url = new URL(server);
  url.username = roleName(role);
  url.password = passwords[role];
  url.pathname = `/${database}`;
  return url.href;
}

/** Runs something with a connection of its own and closes it. */
export async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function roleName(role: keyof RolePasswords): string {
  return `latchkey_${role}`;
}
