import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, listIfThere, readIfThere, sweep, syncFolder, writeNew } from './vault-files.ts';
import { requireName, requireStorable, requireTags, type SecretVersion, type Tags, type Vault } from './vault.ts';

/** A version as its file holds it. The value is null once it is disabled. */
interface Stored {
  readonly version: string;
  readonly createdAt: string;
  readonly tags: Tags;
  readonly value: string | null;
}

interface Found extends Stored {
  readonly number: number;
  readonly enabled: boolean;
}

/** The version of a secret that is still one plain file, as earlier releases wrote it. */
const plainVersion = '0'.repeat(32);

/**
 * A vault in a directory of this machine: below a folder `NAME.versions`, a file `NUMBER` for each version, written once,
 * beside it `NUMBER.tags` if they were set later and `NUMBER.disabled`. Modes are 0700 and 0600. A plain file `NAME` is
 * a first version.
 */
export async function openDirectoryVault(directory: string): Promise<Vault> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { mode } = await stat(directory);
  if (process.platform !== 'win32' && mode & 0o077) await chmod(directory, 0o700);
  await sweep(directory);

  const folderOf = (name: string): string => {
    requireName(name);
    return join(directory, `${name}.versions`);
  };
  const fileOf = (name: string, number: number, suffix = ''): string =>
    join(folderOf(name), String(number).padStart(12, '0') + suffix);
  const draft = (name: string, text: string): Promise<string> =>
    writeNew(join(directory, `${name}.${randomBytes(8).toString('hex')}.draft`), text);

  /** Puts a text in the place of a file, whole. */
  const put = async (name: string, path: string, text: string): Promise<void> => {
    await rename(await draft(name, text), path);
    await syncFolder(folderOf(name));
  };
  /** Gives a version a number. @returns false when the number is taken. */
  const place = async (name: string, number: number, stored: Stored): Promise<boolean> => {
    const path = await draft(name, JSON.stringify(stored));
    // If we stop here, a draft that nobody reads is left behind, and is swept away by a later start.
    try {
      for (;;) {
        await mkdir(folderOf(name), { recursive: true, mode: 0o700 });
        const outcome = await link(path, fileOf(name, number)).then(() => 'placed' as const, codeOf);
        if (outcome === 'EEXIST') return false;
        // The folder was removed in between.
        if (outcome === 'ENOENT') continue;
        await syncFolder(folderOf(name));
        await syncFolder(directory);
        return true;
      }
    } finally {
      await unlink(path);
    }
  };

  const readPlain = async (name: string): Promise<Stored | null> => {
    const path = join(directory, name);
    const value = await readIfThere(path);
    const made = await stat(path).catch(() => null);
    if (value === null || made === null) return null;
    return { version: plainVersion, createdAt: made.mtime.toISOString(), tags: {}, value };
  };
  /** All versions, by number; read anew when one goes away meanwhile. */
  const find = async (name: string): Promise<Found[]> => {
    for (;;) {
      let files = await listIfThere(folderOf(name));
      if (files.length === 0) {
        const plain = await readPlain(name);
        if (plain) return [{ ...plain, number: 0, enabled: true }];
        // It may have been given its number just now.
        files = await listIfThere(folderOf(name));
      }
      const numbers = files.filter((file) => /^\d{12}$/.test(file)).sort();
      const found = await Promise.all(
        numbers.map(async (file): Promise<Found | null> => {
          const text = await readIfThere(join(folderOf(name), file));
          if (text === null) return null;
          const later = files.includes(`${file}.tags`) ? await readIfThere(join(folderOf(name), `${file}.tags`)) : null;
          const stored = parse(name, text) as Stored;
          const tags = later === null ? stored.tags : (parse(name, later) as Tags);
          const enabled = stored.value !== null && !files.includes(`${file}.disabled`);
          return { ...stored, tags, number: Number(file), enabled };
        }),
      );
      if (found.every((version) => version !== null)) return found;
    }
  };
  /** As `find`, after a plain file was given its number: whatever writes begins with this. */
  const settle = async (name: string): Promise<Found[]> => {
    const plain = await readPlain(name);
    if (plain) {
      if ((await listIfThere(folderOf(name))).length === 0) await place(name, 0, plain);
      // If we stop before this, the numbered copy counts, and the next write tidies up.
      await rm(join(directory, name), { force: true });
    }
    return find(name);
  };
  const one = async (name: string, version: string): Promise<Found> => {
    const found = (await settle(name)).find((other) => other.version === version);
    if (!found) throw new Error(`the secret \`${name}\` has no version \`${version}\``);
    return found;
  };
  const add = async (name: string, value: string, tags: Tags): Promise<Found> => {
    const stored: Stored = {
      version: randomBytes(16).toString('hex'),
      createdAt: new Date().toISOString(),
      tags,
      value,
    };
    for (;;) {
      const number = ((await settle(name)).at(-1)?.number ?? 0) + 1;
      if (await place(name, number, stored)) return { ...stored, number, enabled: true };
    }
  };
  const drop = async (name: string, number: number): Promise<void> => {
    for (const suffix of ['', '.tags', '.disabled']) await rm(fileOf(name, number, suffix), { force: true });
  };
  const get = async (name: string): Promise<string | null> =>
    (await find(name)).findLast(({ enabled }) => enabled)?.value ?? null;

  return {
    get,
    async create(name, value) {
      requireStorable(name, value);
      if ((await find(name)).length === 0) {
        const stored = {
          version: randomBytes(16).toString('hex'),
          createdAt: new Date().toISOString(),
          tags: {},
          value,
        };
        const isPlaced = await place(name, 1, stored);
        // Whoever was overtaken by a `replace` may have found the first number free again.
        if (isPlaced && (await find(name)).some(({ number }) => number > 1)) await drop(name, 1);
      }
      const kept = await get(name);
      if (kept === null) throw new Error(`the secret \`${name}\` was disabled or removed, and cannot be made anew`);
      return kept;
    },
    async replace(name, value) {
      requireStorable(name, value);
      const { number } = await add(name, value, {});
      // If we stop here, the new version counts, and the next `replace` drops what is left.
      for (const old of await find(name)) if (old.number < number) await drop(name, old.number);
    },
    async addVersion(name, value, { tags = {} } = {}) {
      requireStorable(name, value, tags);
      return withoutValue(await add(name, value, tags));
    },
    versions: async (name) => (await find(name)).map(withoutValue),
    async getVersion(name, version) {
      const found = (await find(name)).find((other) => other.version === version);
      return found?.enabled ? found.value : null;
    },
    async setTags(name, version, tags) {
      requireTags(name, tags);
      const { number } = await one(name, version);
      await put(name, fileOf(name, number, '.tags'), JSON.stringify(tags));
    },
    async disable(name, version) {
      const { number, createdAt, tags } = await one(name, version);
      await put(name, fileOf(name, number, '.disabled'), '');
      // If we stop here, nobody reads the value any more, although it is still in the file.
      const emptied: Stored = { version, createdAt, tags, value: null };
      await put(name, fileOf(name, number), JSON.stringify(emptied));
    },
    async remove(name) {
      await rm(join(directory, requireName(name)), { force: true });
      const gone = join(directory, `${name}.${randomBytes(8).toString('hex')}.gone`);
      const outcome = await rename(folderOf(name), gone).then(() => 'moved' as const, codeOf);
      if (outcome === 'ENOENT') return;
      await syncFolder(directory);
      // If we stop here, the next start sweeps it away.
      await rm(gone, { recursive: true, force: true });
    },
    health: () => ({ circuit: 'closed', awaySince: null }),
    close: async () => {},
  };
}

function withoutValue({ version, createdAt, tags, enabled }: Found): SecretVersion {
  return { version, createdAt: new Date(createdAt), enabled, notBefore: null, expiresAt: null, tags };
}

function parse(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The cause would quote what it could not read.
    throw new Error(`the secret \`${name}\` cannot be read: a file of it is damaged`);
  }
}
