import { readdir, readFile } from 'node:fs/promises';

/** The variable in the environment of every process of an action, by which they are found again. */
export const markName = 'LATCHKEY_ACTION';

/** One process, as `/proc/PID/stat` tells it (proc(5)). */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** In clock ticks since the machine started: a number that was given again is another process. */
  readonly startedAt: string;
}

/** Every process of the machine that has not ended; none where there is no `/proc`. */
export async function listProcesses(): Promise<ProcessEntry[]> {
  const names = await readdir('/proc').catch(() => []);
  const entries = await Promise.all(
    names.filter((name) => /^\d+$/.test(name)).map(async (pid) => readStat(await readQuietly(`/proc/${pid}/stat`))),
  );
  return entries.filter((entry) => entry !== null);
}

/** Whether a process was started with that mark, or by one that was; null when its environment cannot be read now. */
export async function hasMark(pid: number, mark: string): Promise<boolean | null> {
  const environment = await readQuietly(`/proc/${pid}/environ`);
  return environment ? environment.split('\0').includes(`${markName}=${mark}`) : null;
}

/** The name in the second field may hold anything, parentheses and spaces too. */
function readStat(text: string | null): ProcessEntry | null {
  const match = text === null ? null : /^(?<pid>\d+) \(.*\) (?<rest>\S.*)$/s.exec(text);
  if (!match?.groups) return null;
  const [state, parent, group, session, ...more] = match.groups['rest']!.trim().split(' ');
  // What is dead, or only waits for its parent to look at its exit code, does nothing any more.
  if (state === 'Z' || state === 'X') return null;
  return {
    pid: Number(match.groups['pid']),
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
    startedAt: more[15]!,
  };
}

/** Processes come and go while they are looked at, and some are not ours to look at. */
async function readQuietly(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null);
}
