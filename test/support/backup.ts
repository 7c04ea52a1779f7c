import { Client } from 'pg';
import type { TestDatabase } from './postgres.ts';

/** A copy of a database as it was at one moment. */
export interface Backup {
  readonly appUrl: string;
  drop(): Promise<void>;
}

/** Copies a database. Whoever is connected to it is cut off for that while. */
export async function takeBackup({ name, superuserUrl, appUrl }: TestDatabase): Promise<Backup> {
  const copy = `${name}_backup`;
  await onServer(superuserUrl, async (client) => {
    await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    try {
      await client.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1', [name]);
      await client.query(`CREATE DATABASE ${copy} TEMPLATE ${name} OWNER latchkey_admin`);
    } finally {
      await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
    }
  });
  const url = new URL(appUrl);
  url.pathname = `/${copy}`;
  return {
    appUrl: url.href,
    drop: () =>
      onServer(superuserUrl, async (client) => {
        await client.query(`DROP DATABASE ${copy} WITH (FORCE)`);
      }),
  };
}

async function onServer(superuserUrl: string, work: (client: Client) => Promise<void>): Promise<void> {
  const url = new URL(superuserUrl);
  url.pathname = '/postgres';
  const client = new Client({ connectionString: url.href });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
