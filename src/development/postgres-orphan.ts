import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
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
 * Ends what still runs on the data folder because whoever started it was killed: a server, or what is left of one. The
 * caller holds the folder's lock. Then strikes out the number in `postmaster.pid`, which may by now be another's, as
 * after a restart of the machine, or a dead one's that nobody has collected: PostgreSQL would refuse to start.
 * @returns the number of the server that was ended, or null when there was none.
 */
export async function stopOrphan(data: string): Promise<number | null> {
  const found = readServerFile(data);
  if (!found) return null;
  const running = processesOn(data, found.pid);
  for (const [signal, patience] of running.length ? shutdown : []) {
    const deadline = performance.now() + patience;
    const left = processesOn(data, found.pid);
    for (const pid of left.includes(found.pid) ? [found.pid] : left) send(pid, signal);
    while (processesOn(data, found.pid).length && performance.now() < deadline) await sleep(20);
  }
  const path = join(data, 'postmaster.pid');
  if (readServerFile(data)) writeFileSync(path, readFileSync(path, 'utf8').replace(/^\d+/, String(goneForCertain)));
  return running.includes(found.pid) ? found.pid : null;
}

/**
 * The processes that have the data folder as their working directory, as a server and all its workers do. Where that
 * cannot be looked up, the process `server` alone, if its arguments name the folder.
 */
export function processesOn(data: string, server: number): number[] {
  try {
    if (process.platform !== 'linux') {
      const args = execFileSync('ps', ['-o', 'args=', '-p', String(server)], { encoding: 'utf8' });
      return args.includes(data) ? [server] : [];
    }
    const folder = realpathSync(data);
    const pids = readdirSync('/proc').map(Number).filter(Boolean);
    return pids.filter((pid) => workingDirectory(pid) === folder);
  } catch {
    return [];
  }
}

/** Null for a process that has ended, that nobody has collected, or that is not ours to look at. */
function workingDirectory(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return null;
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
