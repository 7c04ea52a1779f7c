import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** A folder that one process at a time works in. */
export interface StateLock {
  /** Lets the next process in. Ending the process, however it ends, does the same. */
  release(): void;
}

/** The folder is another process's; `pid` is null in the instant before that process has written its number. */
export class StateInUse extends Error {
  override readonly name = 'StateInUse';
  readonly pid: number | null;

  constructor(directory: string, pid: number | null) {
    super(`\`${directory}\` is in use by ${pid === null ? 'another process' : `process ${pid}`}; stop it first`);
    this.pid = pid;
  }
}

/** Whoever drops its lock without releasing it keeps it: the garbage collector must not close the file. */
const held = new Set<DatabaseSync>();

/**
 * Takes the folder for this process, making it when it is missing. The lock is one of the operating system's on an
 * empty SQLite file, which alone of all that Node offers goes with its process, even after a kill -9: so there is
 * nothing stale to tell from what lives, and a number that a new process was given again cannot be mistaken.
 * @throws StateInUse when another process, or another part of this one, has it.
 */
export function lockState(directory: string): StateLock {
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  const holder = join(directory, 'pid');
  const file = new DatabaseSync(join(directory, 'lock'), { timeout: 0 });
  try {
    file.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    file.close();
    if (error instanceof Error && error.message.includes('locked')) {
      throw new StateInUse(directory, readPid(holder));
    }
    throw error;
  }
  held.add(file);
  writeFileSync(holder, `${process.pid}\n`);
  return {
    release() {
      if (held.delete(file)) file.close();
    },
  };
}

function readPid(path: string): number | null {
  try {
    return Number.parseInt(readFileSync(path, 'utf8'), 10) || null;
  } catch {
    return null;
  }
}
