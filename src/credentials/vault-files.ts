import { open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Drafts older than this belong to nobody that still runs (milliseconds). */
const forgotten = 3_600_000;

/** Takes away what a crash has left. */
export async function sweep(directory: string): Promise<void> {
  for (const entry of await readdir(directory)) {
    const path = join(directory, entry);
    const isGone = entry.endsWith('.gone');
    const isForgotten = async (): Promise<boolean> => {
      const found = await stat(path).catch(() => null);
      return found !== null && Date.now() - found.mtimeMs > forgotten;
    };
    if (isGone || (entry.endsWith('.draft') && (await isForgotten()))) await rm(path, { recursive: true, force: true });
  }
}

export async function writeNew(path: string, text: string): Promise<string> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return path;
}

/** Makes a folder's entries last. Windows has no such thing, and keeps them by itself. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r').catch((error: unknown) => {
    // Removed meanwhile: then there is nothing in it to keep.
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (!handle) return;
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  });
}

export async function listIfThere(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
}

/** The code of what failed in the file system. @throws what is no such failure, or one that nobody here expects. */
export function codeOf(error: unknown): 'ENOENT' | 'EEXIST' {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'EEXIST') return code;
  throw error;
}
