import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { oldestMajor } from '../src/development/postgres-binaries.ts';
import { withClient } from '../src/development/postgres-roles.ts';

/** Of the embedded database of a broker that was started in that directory. */
export function urlsOf(directory: string): Record<'admin' | 'app' | 'auditor', string> {
  return JSON.parse(readFileSync(join(directory, 'postgres', 'urls.json'), 'utf8')) as never;
}

/**
 * Has every PostgreSQL of this run be the newest that is installed on the machine, if one is: those from npm are compiled to
 * be small, and no server has such a one. Does nothing where `LATCHKEY_POSTGRES` says which; empty, it is the one from npm.
 */
export function useInstalledPostgres(): void {
  const versionIn = (folder: string): number => Number(/(\d+)\/bin$/.exec(folder)?.[1]);
  const found = globSync(['/usr/lib/postgresql/*/bin', '/usr/pgsql-*/bin']).filter(
    (folder) => versionIn(folder) >= oldestMajor,
  );
  process.env.LATCHKEY_POSTGRES ??= found.toSorted((a, b) => versionIn(a) - versionIn(b)).at(-1) ?? '';
}

/** Such as `15.18 as installed`, or `18.4 from npm`. */
export function postgresVersion(url: string): Promise<string> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
    return `${rows[0]!.server_version.split(' ')[0]!} ${process.env.LATCHKEY_POSTGRES ? 'as installed' : 'from npm'}`;
  });
}

/** What the server does by itself now and then is done before time is taken. */
export async function settle(url: string): Promise<void> {
  await withClient(url, (client) => client.query('VACUUM ANALYZE'));
}
