import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** A file of the agent's state that cannot be used as it is. The message names the file and what to do. */
export class StateError extends Error {
  override readonly name = 'StateError';
}

/** Reads a JSON file of the state directory; null when there is none. @throws StateError when it is broken. */
export async function readState(directory: string, name: string): Promise<unknown> {
  const path = join(directory, name);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    // A file that says `null` is a broken one, and must not pass for one that is not there.
    if (value !== null) return value;
    throw new SyntaxError('null');
  } catch {
    throw new StateError(`\`${path}\` cannot be read; restore it, or remove the directory and enrol again`);
  }
}

/**
 * Writes a JSON file of the state directory with mode 0600, whole or not at all: after a crash at any point the file is
 * what it was before, or what it was to become.
 */
export async function writeState(directory: string, name: string, value: unknown): Promise<void> {
  const written = await writeBeside(directory, name, value);
  await rename(written, join(directory, name));
  await syncDirectory(directory);
}

/** As `writeState`, but a file that is already there stays and false is returned: of two first starts, one wins. */
export async function createState(directory: string, name: string, value: unknown): Promise<boolean> {
  const written = await writeBeside(directory, name, value);
  try {
    await link(written, join(directory, name));
    await syncDirectory(directory);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(written, { force: true });
  }
}

/** Removes a file of the state directory; one that is not there is no mistake. */
export async function removeState(directory: string, name: string): Promise<void> {
  await rm(join(directory, name), { force: true });
  await syncDirectory(directory);
}

/** Refuses a secret that others on the machine could read or replace. @throws StateError */
export async function requirePrivate(directory: string, name: string): Promise<void> {
  if (process.platform === 'win32') return;
  const path = join(directory, name);
  if (((await stat(path)).mode & 0o077) !== 0) {
    throw new StateError(`\`${path}\` is open to other users; run \`chmod 600\` on it, or enrol the device anew`);
  }
}

async function writeBeside(directory: string, name: string, value: unknown): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, `.${name}.${randomUUID()}`);
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  // A umask can only take rights away, but the mode is a promise.
  await chmod(path, 0o600);
  return path;
}

/** A rename is only durable once its directory is. Windows has no way to ask for it, and needs none. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
