import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { serverAccount } from './postgres-account.ts';
import { prepareBinaries, type Binaries } from './postgres-binaries.ts';
import { initialise } from './postgres-initdb.ts';
import { stopOrphan } from './postgres-orphan.ts';
import { startOnFreePort } from './postgres-port.ts';
import { ensureDatabase, ensureRoles, roleUrl, withClient } from './postgres-roles.ts';
import { readSecrets, writeRoleUrls, writeSuperuserUrl } from './postgres-secrets.ts';
import type { Secrets } from './postgres-secrets.ts';
import { startServer } from './postgres-server.ts';
import type { Server } from './postgres-server.ts';
import { settingsFor } from './postgres-settings.ts';
import type { RunOptions } from './postgres-spawn.ts';
import { lockState } from './state-lock.ts';

export interface EmbeddedPostgresOptions {
  /** Where everything of it lives; made when missing. */
  readonly directory: string;
  /** The port to prefer; default: the one it had last, and at first any that is free. */
  readonly port?: number;
  /** False loses what was last committed when the machine stops: for tests alone. */
  readonly durable?: boolean;
  /** Hears, in a sentence, what someone may want to know: another port, a server left behind, an unexpected end. */
  readonly log?: (message: string) => void;
}

/** A PostgreSQL of our own. The URLs are those of `urls.json` (the contract, §2) and the superuser's. */
export interface EmbeddedPostgres {
  readonly adminUrl: string;
  readonly appUrl: string;
  readonly auditorUrl: string;
  readonly superuserUrl: string;
  readonly port: number;
  /** Ends it within ten seconds: its clients are cut off, what they committed stays. */
  stop(): Promise<void>;
}

/**
 * Starts a real PostgreSQL under the directory, on loopback TCP alone, with the database `latchkey` and its three roles,
 * and writes their URLs to `urls.json`, mode 0600. Works as root, and after a kill -9 of whoever started it before.
 * @throws StateInUse when another process runs one in the directory.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const directory = resolve(options.directory);
  const lock = lockState(directory);
  let server: Server | null = null;
  const stop = async (): Promise<void> => {
    await server?.stop();
    lock.release();
  };
  try {
    const log = options.log ?? (() => {});
    const data = join(directory, 'data');
    const run: RunOptions = { data, account: serverAccount(data), logFile: join(directory, 'postgres.log') };
    const orphan = await stopOrphan(data);
    if (orphan) log(`stopped PostgreSQL (process ${orphan}), which an earlier run had left behind`);

    const binaries = prepareBinaries();
    const secrets = readSecrets(directory);
    if (!existsSync(data)) {
      writeSuperuserUrl(directory, superuserUrlOf(secrets, 0));
      await initialise(directory, binaries, run, secrets.superuser);
    }
    requireSameMajor(data, binaries);

    const settings = settingsFor(options.durable ?? true);
    const wanted = options.port ?? secrets.port;
    const { started, port } = await startOnFreePort(wanted, (port) =>
      startServer({ ...run, program: binaries.postgres, port, settings, onLoss: log }),
    );
    server = started;
    if (wanted && port !== wanted) log(`port ${wanted} is taken, so PostgreSQL listens on ${port}`);

    const superuserUrl = superuserUrlOf(secrets, port);
    writeSuperuserUrl(directory, superuserUrl);
    await withClient(superuserUrl, async (client) => {
      await ensureRoles(client, secrets.roles);
      await ensureDatabase(client, 'latchkey');
    });
    const [admin, app, auditor] = (['admin', 'app', 'auditor'] as const).map((role) =>
      roleUrl(superuserUrl, role, secrets.roles, 'latchkey'),
    ) as [string, string, string];
    writeRoleUrls(directory, { admin, app, auditor });
    return { adminUrl: admin, appUrl: app, auditorUrl: auditor, superuserUrl, port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** PostgreSQL would refuse it as well, but only in its log. */
function requireSameMajor(data: string, { postgres, major }: Binaries): void {
  const made = Number.parseInt(readFileSync(join(data, 'PG_VERSION'), 'utf8'), 10);
  if (made === major) return;
  throw new Error(
    `the database in \`${data}\` is one of PostgreSQL ${made}, and \`${postgres}\` is of ${major}: ` +
      `have \`LATCHKEY_POSTGRES\` name a folder with programs of ${made}, or put the database aside`,
  );
}

function superuserUrlOf(secrets: Secrets, port: number): string {
  return `postgres://postgres:${secrets.superuser}@127.0.0.1:${port}/postgres`;
}
