import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { killGroup, membersOf, removeGroup } from './cgroup.ts';
import { hasMark, listProcesses, type ProcessEntry } from './processes.ts';

/** What the processes of an action are known by. */
export interface ActionProcesses {
  readonly mark: string;
  /** The first of them, which leads a process group and a session; null when that is not known any more. */
  readonly leader: number | null;
  readonly controlGroup: string | null;
}

export interface EndOptions {
  /** How long they may take to end by themselves once they are asked to. */
  readonly graceMs?: number;
  /** How long killing is tried; what cannot be killed hangs in the kernel. */
  readonly patienceMs?: number;
}

const pollMs = 25;

/**
 * Ends every process of an action: TERM to all, KILL to what is left after two seconds, again and again until nothing
 * is found. @returns false when something was still there at the end of its patience.
 */
export async function endProcesses(action: ActionProcesses, options: EndOptions = {}): Promise<boolean> {
  const { graceMs = 2_000, patienceMs = 30_000 } = options;
  const find = createFinder(action);
  let found = await find();
  if (found.length > 0) signalAll(found, 'SIGTERM');
  for (const until = Date.now() + graceMs; found.length > 0 && Date.now() < until; found = await find())
    await sleep(pollMs);
  for (const until = Date.now() + patienceMs; found.length > 0 && Date.now() < until; found = await find()) {
    if (action.controlGroup !== null) killGroup(action.controlGroup);
    signalAll(found, 'SIGKILL');
    await sleep(pollMs);
  }
  if (action.controlGroup !== null && found.length === 0) removeGroup(action.controlGroup);
  return found.length === 0;
}

/**
 * Finds the processes of an action: those in its control group, those that carry its mark, those of its process group
 * and session, and the children of all these. What was found once is known from then on, whoever becomes its parent.
 */
function createFinder({ mark, leader, controlGroup }: ActionProcesses): () => Promise<number[]> {
  if (process.platform !== 'linux') return async () => (leader !== null && isThere(leader) ? [-leader] : []);
  const known = new Set<string>();
  const strangers = new Set<string>();
  const key = ({ pid, startedAt }: ProcessEntry): string => `${pid} ${startedAt}`;
  return async () => {
    const all = (await listProcesses()).filter(({ pid }) => pid !== process.pid);
    const members = new Set(controlGroup === null ? [] : membersOf(controlGroup));
    const family = new Set<number>();
    for (const entry of all) {
      const isLed = leader !== null && (entry.group === leader || entry.session === leader);
      if (known.has(key(entry)) || isLed || members.has(entry.pid)) family.add(entry.pid);
      else if (!strangers.has(key(entry))) {
        const isMarked = await hasMark(entry.pid, mark);
        if (isMarked) family.add(entry.pid);
        // A mark is inherited or never there, but in the middle of an exec nothing can be read.
        if (isMarked === false) strangers.add(key(entry));
      }
    }
    for (let size = -1; size < family.size;) {
      size = family.size;
      for (const { pid, parent } of all) if (family.has(parent)) family.add(pid);
    }
    for (const entry of all) if (family.has(entry.pid)) known.add(key(entry));
    return [...family];
  };
}

function signalAll(pids: readonly number[], signal: 'SIGTERM' | 'SIGKILL'): void {
  for (const pid of pids) {
    try {
      if (process.platform === 'win32') endTree(-pid);
      else process.kill(pid, signal);
    } catch {
      // It has just ended, or is not ours to end; the next look tells.
    }
  }
}

/** Windows knows neither signals nor groups of processes, but whose child is whose. */
function endTree(pid: number): void {
  const program = 'C:\\Windows\\System32\\taskkill.exe';
  spawn(program, ['/PID', String(pid), '/T', '/F'], { stdio: 'ignore', windowsHide: true }).on(
    'error',
    () => undefined,
  );
}

function isThere(pid: number): boolean {
  try {
    return process.kill(process.platform === 'win32' ? pid : -pid, 0);
  } catch {
    return false;
  }
}
