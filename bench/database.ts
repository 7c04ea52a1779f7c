import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withClient } from '../src/development/postgres-roles.ts';

/** Of the embedded database of a broker that was started in that directory. */
export function urlsOf(directory: string): Record<'admin' | 'app' | 'auditor', string> {
  return JSON.parse(readFileSync(join(directory, 'postgres', 'urls.json'), 'utf8')) as never;
}

export function postgresVersion(url: string): Promise<string> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
    return rows[0]!.server_version.split(' ')[0]!;
  });
}

/** What the server does by itself now and then is done before time is taken. */
export async function settle(url: string): Promise<void> {
  await withClient(url, (client) => client.query('VACUUM ANALYZE'));
}
