import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a running server writes of itself into `postmaster.pid`. */
export interface ServerFile {
  readonly pid: number;
  /** True once it takes connections. */
  readonly ready: boolean;
}

/** Each signal of a shutdown and the milliseconds it is given: fast, immediate, and for what no longer listens. */
export const shutdown: readonly (readonly [NodeJS.Signals, number])[] = [
  ['SIGINT', 5_000],
  ['SIGQUIT', 2_000],
  ['SIGKILL', 2_000],
];

/** Larger than any process number: PostgreSQL takes it for a server that is gone, and still looks at its memory. */
const goneForCertain = 2_147_483_646;

/** Reads `postmaster.pid` of the data folder; null when there is none, or none that makes sense. */
export function readServerFile(data: string): ServerFile | null {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    const pid = Number.parseInt(lines[0] ?? '', 10);
    return pid > 0 ? { pid, ready: lines[7]?.trim() === 'ready' } : null;
  } catch {
    return null;
  }
}

/**
 * Ends a server that still runs on the data folder because whoever started it was killed. The caller holds the
 * folder's lock. A file that names a process which has nothing to do with the folder, as after a restart of the machine,
 * would keep the next server from starting: its number is struck out, the rest stays for PostgreSQL's own checks.
 * @returns the number of the process that was ended, or null when there was none.
 */
export async function stopOrphan(data: string): Promise<number | null> {
  const found = readServerFile(data);
  if (!found || !isAlive(found.pid)) return null;
  if (!worksIn(found.pid, data)) {
    const path = join(data, 'postmaster.pid');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^\d+/, String(goneForCertain)));
    return null;
  }
  for (const [signal, patience] of shutdown) {
    if (!isAlive(found.pid)) break;
    process.kill(found.pid, signal);
    const deadline = performance.now() + patience;
    while (isAlive(found.pid) && performance.now() < deadline) await sleep(20);
  }
  return found.pid;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** In a container whose first process collects nobody, what has ended keeps its number. */
function isZombie(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** A server's working directory is its data folder; where that cannot be looked up, its arguments name the folder. */
function worksIn(pid: number, data: string): boolean {
  try {
    if (process.platform === 'linux') return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(data);
    return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).includes(data);
  } catch {
    return false;
  }
}
