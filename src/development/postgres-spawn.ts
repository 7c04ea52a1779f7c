import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import type { Account } from './postgres-account.ts';

export interface RunOptions {
  readonly data: string;
  /** Null is our own. */
  readonly account: Account | null;
  /** The file that what the programs print is added to. */
  readonly logFile: string;
}

/** Runs a program of PostgreSQL's on the data folder to its end. Rejects with what it printed unless it succeeds. */
export async function runOnData(options: RunOptions, program: string, args: readonly string[]): Promise<void> {
  const said = logOf(options.logFile);
  const child = await spawnOnData(options, program, args);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`\`${program}\` failed; it said: ${said()}`);
}

/**
 * Starts a program of PostgreSQL's on the data folder. As root on Linux the folder is handed over open and named by its
 * descriptor: the account then needs no way in through the folders above, which in the home of root it would not have.
 */
export async function spawnOnData(
  options: RunOptions,
  program: string,
  args: readonly string[],
): Promise<ChildProcess> {
  const byDescriptor = options.account !== null && process.platform === 'linux';
  const log = openSync(options.logFile, 'a', 0o600);
  const data = byDescriptor ? openSync(options.data, 'r') : null;
  try {
    const folder = data === null ? options.data : '/proc/self/fd/3';
    const child = spawnAs(options.account, program, ['-D', folder, ...args], ['ignore', log, log, data ?? 'ignore']);
    await once(child, 'spawn');
    return child;
  } finally {
    closeSync(log);
    if (data !== null) closeSync(data);
  }
}

/**
 * What a statement has used stays with its process for the next one. As glibc does it by itself, it would go back to the
 * system after each and be asked for again: a fifth of all that the server did.
 */
const keepMemory = {
  MALLOC_TRIM_THRESHOLD_: String(64 * 1_048_576),
  MALLOC_MMAP_THRESHOLD_: String(16 * 1_048_576),
  MALLOC_TOP_PAD_: String(1_048_576),
} as const;

/**
 * Starts a program under the account, in a session of its own and without our environment: it gets no secret from it,
 * and no locale or time zone. Its output is not read.
 */
export function spawnAs(
  account: Account | null,
  program: string,
  args: readonly string[],
  stdio: StdioOptions,
): ChildProcess {
  return spawn(program, args, {
    cwd: '/',
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...keepMemory },
    detached: true,
    stdio,
    ...(account && { uid: account.uid, gid: account.gid }),
  });
}

/** From now on: the last lines that were added to the log. */
export function logOf(path: string): () => string {
  const start = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return () => readFileSync(path).subarray(start).toString().trim().split('\n').slice(-8).join('\n');
}
