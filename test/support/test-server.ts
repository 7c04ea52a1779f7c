import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/development/embedded-postgres.ts';

export interface TestServer {
  readonly superuserUrl: string;
  /** Ends it and removes all that it wrote. */
  stop(): Promise<void>;
}

/** Starts a PostgreSQL for one run of tests, in a folder of its own. It may lose everything at any moment. */
export async function startTestServer(log?: (message: string) => void): Promise<TestServer> {
  const directory = mkdtempSync(join(fastFolder(), 'latchkey-test-'));
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

const enough = 4 * 1024 ** 3;

/** A database is three hundred files, which memory holds a good deal faster than a disk; if it has the room. */
function fastFolder(): string {
  const memory = '/dev/shm';
  if (process.platform !== 'linux' || !existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize >= enough ? memory : tmpdir();
}
