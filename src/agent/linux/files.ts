import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The machine as its kernel shows it: `/proc`, `/sys` and `/etc` below a directory, which is `/` but for tests. */
export interface Machine {
  /** The text of a file without what is blank around it; null when it is not there, empty, or not ours to read. */
  text(path: string): Promise<string | null>;
  /** The bytes of a file; null when there are none. */
  bytes(path: string): Promise<Buffer | null>;
  /** A whole number that is all a file says; null when it says something else. */
  number(path: string): Promise<number | null>;
  /** What is in a directory, in order; nothing when it is not there. */
  list(path: string): Promise<readonly string[]>;
  /** Where a path of the machine's is. */
  place(path: string): string;
}

export function openMachine(root = '/'): Machine {
  const place = (path: string): string => join(root, path);
  const bytes = async (path: string): Promise<Buffer | null> => {
    const found = await readFile(place(path)).catch(() => null);
    return found && found.length > 0 ? found : null;
  };
  const text = async (path: string): Promise<string | null> => {
    // Device trees end their texts with a NUL.
    const found = (await bytes(path))?.toString('utf8').replaceAll('\0', '').trim();
    return found === undefined || found === '' ? null : found;
  };
  return {
    place,
    bytes,
    text,
    async number(path) {
      const found = await text(path);
      return found !== null && /^-?\d{1,15}$/.test(found) ? Number(found) : null;
    },
    async list(path) {
      const names: string[] = await readdir(place(path)).catch(() => []);
      return names.sort();
    },
  };
}

/** Members without those that are null, so that what is not known is not said. */
export function known(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== null && value !== undefined));
}
