import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A control group an action (cgroups(7)): whatever the processes in it do with their groups, sessions, parents or
 * environments, what they start is in it too. Only root can leave it.
 */
export interface ControlGroups {
  /** Makes one. Null when the machine does not let us. */
  make(name: string): ControlGroup | null;
}

export interface ControlGroup {
  readonly directory: string;
  /** Runs something synchronous of which every process that it starts is in the group from its first instruction. */
  startIn<T>(start: () => T): T;
}

/** The control groups below this process's own; null where there are none, or they are not ours to divide. */
export function openControlGroups(
  files = { mounts: '/proc/self/mounts', own: '/proc/self/cgroup' },
): ControlGroups | null {
  const own = ownDirectory(files);
  if (own === null) return null;
  const base = join(own, 'latchkey-actions');
  return {
    make(name) {
      const directory = join(base, name);
      try {
        mkdirSync(directory, { recursive: true });
        // On a file system that only looks like one, the file would be made by the writing.
        readFileSync(join(directory, 'cgroup.procs'));
      } catch {
        return null;
      }
      return { directory, startIn: (start) => startIn(directory, own, start) };
    },
  };
}

/**
 * This process enters, starts, and leaves, all in one go: a child that was moved afterwards could have had children of
 * its own by then.
 */
function startIn<T>(directory: string, own: string, start: () => T): T {
  const isIn = move(directory);
  try {
    return start();
  } finally {
    // Should it not get out, it is never counted among the members, and the group is not killed as a whole.
    if (isIn) move(own);
  }
}

/** False where the machine lets us make groups and not use them: then the mark has to do. */
function move(directory: string): boolean {
  try {
    writeFileSync(join(directory, 'cgroup.procs'), String(process.pid), { flag: 'r+' });
    return true;
  } catch {
    return false;
  }
}

/** The numbers of the processes in a group, this one never among them; none when the group is gone. */
export function membersOf(directory: string): number[] {
  try {
    const pids = readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
    return pids.filter((pid) => pid !== process.pid);
  } catch {
    return [];
  }
}

/** Kills everything in a group at once, so that nothing can be started in between; does nothing where that is unknown. */
export function killGroup(directory: string): void {
  try {
    const isOurs = readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').includes(String(process.pid));
    if (!isOurs) writeFileSync(join(directory, 'cgroup.kill'), '1', { flag: 'r+' });
  } catch {
    // Version 1 and old kernels: the members are killed one by one.
  }
}

/** Removes an empty group; one that is not stays until the next start. */
export function removeGroup(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Busy for a moment longer, or gone already.
  }
}

/** Version 2 where it is mounted; else the hierarchy by which systemd names things, which every version 1 system has. */
function ownDirectory({ mounts, own }: { readonly mounts: string; readonly own: string }): string | null {
  try {
    const mounted = readFileSync(mounts, 'utf8')
      .split('\n')
      .map((line) => line.split(' '));
    const paths = readFileSync(own, 'utf8')
      .split('\n')
      .map((line) => line.split(':'));
    const version2 = mounted.find(([, , type]) => type === 'cgroup2');
    const named = mounted.find(([, , type, options]) => type === 'cgroup' && options?.includes('name=systemd'));
    const path = paths.find(([, controllers]) => controllers === (version2 ? '' : 'name=systemd'))?.[2];
    const mount = (version2 ?? named)?.[1];
    return mount === undefined || path === undefined ? null : join(mount, path);
  } catch {
    return null;
  }
}
