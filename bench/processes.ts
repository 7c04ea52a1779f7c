import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Memory that a process itself has resident, in MB of a million bytes. Its children are not counted. */
export function residentMegabytes(pid: number): number {
  const text = execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' });
  return (Number(text) * 1_024) / 1_000_000;
}

/** Ticks a second in `/proc`: a constant of the system's interface on every platform that Node runs on. */
const ticks = 100;

/**
 * Seconds of processor that a process has used so far, and those that all processes below it have, or had; null where
 * `/proc` does not tell.
 */
export function processorSeconds(pid: number): { readonly own: number; readonly below: number } | null {
  if (!existsSync(`/proc/${pid}/stat`)) return null;
  const parents = new Map<number, number>();
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  for (const line of lines) {
    const [child, parent] = line.trim().split(/\s+/).map(Number) as [number, number];
    parents.set(child, parent);
  }
  const isBelow = (child: number): boolean => {
    const parent = parents.get(child);
    return parent !== undefined && parent > 1 && (parent === pid || isBelow(parent));
  };
  const own = used(pid, false);
  const below = [...parents.keys()].filter(isBelow).map((child) => used(child, true));
  // Those that have ended count on: their time is what this process has of theirs.
  return { own, below: below.reduce((sum, seconds) => sum + seconds, used(pid, true) - own) };
}

/** Of the process alone; costs next to nothing, so it may be asked while something is measured. Null as above. */
export function ownProcessorSeconds(pid: number): number | null {
  return existsSync(`/proc/${pid}/stat`) ? used(pid, false) : null;
}

/**
 * Begins to watch how much of the machine other programs take: what they take, the measured ones lack.
 * @returns how to find out, in percent of all processors since; null where the system does not tell.
 */
export function watchOthers(): () => number | null {
  const before = usedHere();
  return () => {
    const after = usedHere();
    if (!before || !after) return null;
    const others = after.busy - before.busy - (after.ours - before.ours);
    return Math.max(0, (100 * others) / (after.all - before.all));
  };
}

function usedHere(): { readonly all: number; readonly busy: number; readonly ours: number } | null {
  const ours = processorSeconds(process.pid);
  if (!ours) return null;
  const times = cpus().map((processor) => processor.times);
  const all = times.reduce((sum, { user, nice, sys, irq, idle }) => sum + user + nice + sys + irq + idle, 0) / 1_000;
  const idle = times.reduce((sum, each) => sum + each.idle, 0) / 1_000;
  return { all, busy: all - idle, ours: ours.own + ours.below };
}

/** User and system time, with that of children that have ended. */
function used(pid: number, withEnded: boolean): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [user, system, endedUser, endedSystem] = fields.slice(11, 15) as [number, number, number, number];
    return (user + system + (withEnded ? endedUser + endedSystem : 0)) / ticks;
  } catch {
    // It has ended in between; whoever waited for it has its time.
    return 0;
  }
}
