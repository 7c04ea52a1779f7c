import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';

/** As of sysexits.h: what was asked makes no sense; what it takes is not on this device. */
export const exitCodes = { done: 0, failed: 1, usage: 64, unavailable: 69 } as const;

/** What was asked makes no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The programs of the device, by name. */
export interface Tools {
  /** The path of the first of these that the device has; null when it has none of them. */
  find(...names: readonly string[]): Promise<string | null>;
  /** Runs one whose output is the action's, in the environment that the action has; returns its exit code. */
  run(path: string, args: readonly string[]): Promise<number>;
}

/** @param places the directories they are looked for in. */
export function openTools(places: readonly string[] = ['/usr/sbin', '/usr/bin', '/sbin', '/bin']): Tools {
  const isProgram = (path: string): Promise<boolean> =>
    access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
  return {
    async find(...names) {
      const paths = names.flatMap((name) => places.map((place) => join(place, name)));
      for (const path of paths) if (await isProgram(path)) return path;
      return null;
    },
    async run(path, args) {
      const child = spawn(path, [...args], { stdio: ['ignore', 'inherit', 'inherit'] });
      const [code] = (await once(child, 'exit')) as [number | null];
      return code ?? exitCodes.failed;
    },
  };
}

/** Writes to standard output, and waits until it is taken. */
export async function say(text: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

/** Tells that something cannot be done here, and why. @returns the exit code for it. */
export function cannot(why: string): number {
  process.stderr.write(`${why}\n`);
  return exitCodes.unavailable;
}
