import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Where keys and secrets live. What holds:
 * - after a crash: a secret is either there, whole, or not there;
 * - on a retry: `create` of what exists changes nothing and gives what exists;
 * - under concurrency: of many that create one name at once, one wins and all get the winner's value.
 */
export interface Vault {
  /** The secret of that name; null when there is none. @throws when it cannot be read: that is never "none". */
  get(name: string): Promise<string | null>;
  /** Keeps a secret under a name that is free. @returns what the name holds now: the given value, or the earlier one. */
  create(name: string, value: string): Promise<string>;
  /** Keeps a value under a name, in place of what it held: a reader, or a crash, sees the one or the other. */
  replace(name: string, value: string): Promise<void>;
}

const names = /^[a-z][a-z0-9-]{0,100}$/;

/** A vault in a directory of this machine: a file a secret, mode 0600, in a directory of mode 0700. */
export async function openDirectoryVault(directory: string): Promise<Vault> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { mode } = await stat(directory);
  if (process.platform !== 'win32' && mode & 0o077) await chmod(directory, 0o700);

  const pathOf = (name: string): string => {
    if (!names.test(name)) throw new Error(`\`${name}\` is not a secret's name`);
    return join(directory, name);
  };
  const get = async (name: string): Promise<string | null> => {
    try {
      return await readFile(pathOf(name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  };
  return {
    get,
    async replace(name, value) {
      await rename(await writeDraft(pathOf(name), value), pathOf(name));
    },
    async create(name, value) {
      const path = pathOf(name);
      const draft = await writeDraft(path, value);
      // If we stop here, a draft that nobody reads is left behind; the name is still free.
      try {
        await link(draft, path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      } finally {
        await unlink(draft);
      }
      const kept = await get(name);
      if (kept === null) throw new Error(`the secret \`${name}\` is gone just after it was made`);
      return kept;
    },
  };
}

async function writeDraft(path: string, value: string): Promise<string> {
  const draft = `${path}.${randomBytes(8).toString('hex')}.draft`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(value);
    await file.sync();
  } finally {
    await file.close();
  }
  return draft;
}
