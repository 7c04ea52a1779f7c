import { existsSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/development/embedded-postgres.ts';
import { lockState } from '../../src/development/state-lock.ts';

export interface TestServer {
  readonly superuserUrl: string;
  /** Ends it and removes all that it wrote. */
  stop(): Promise<void>;
}

/** Starts a PostgreSQL for one run of tests, in a folder of its own. It may lose everything at any moment. */
export async function startTestServer(log?: (message: string) => void): Promise<TestServer> {
  const parent = fastFolder();
  sweep(parent);
  const directory = mkdtempSync(join(parent, prefix));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  try {
    const server = await startEmbeddedPostgres({ directory, durable: false, ...(log && { log }) });
    return {
      superuserUrl: server.superuserUrl,
      async stop() {
        await server.stop();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

const prefix = 'latchkey-test-';

/** Removes what runs that were killed have left: folders older than a minute that no process holds. */
export function sweep(parent: string): void {
  for (const name of readdirSync(parent).filter((entry) => entry.startsWith(prefix))) {
    const path = join(parent, name);
    try {
      if (Date.now() - statSync(path).mtimeMs < 60_000) continue;
      lockState(path).release();
      rmSync(path, { recursive: true, force: true });
    } catch {
      // Held by a run that goes on, somebody else's, or gone already.
    }
  }
}

const enough = 4 * 1024 ** 3;

/** A database is three hundred files, which memory holds a good deal faster than a disk; if it has the room. */
function fastFolder(): string {
  const memory = '/dev/shm';
  if (process.platform !== 'linux' || !existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize >= enough ? memory : tmpdir();
}
