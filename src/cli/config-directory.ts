import { chmod, link, lstat, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Failure } from './failure.ts';

/** Where sign-ins and the engineer's key live: for its owner alone (directory 0700, files 0600), written atomically. */
export interface ConfigDirectory {
  readonly path: string;
  /** The file's text, null when there is none. @throws Failure when others may read or change it. */
  read(name: string): Promise<string | null>;
  /** Replaces the file: a reader, or a crash, sees the old text or the new one. */
  write(name: string, text: string): Promise<void>;
  /** Writes the file unless there is one already; false when there is. Of two at once, one wins with its whole text. */
  create(name: string, text: string): Promise<boolean>;
}

/** `LATCHKEY_CONFIG_DIR`, else `latchkey` under `XDG_CONFIG_HOME`, else under `~/.config`. */
export function configPath(env: Readonly<Record<string, string | undefined>>): string {
  if (env.LATCHKEY_CONFIG_DIR) return env.LATCHKEY_CONFIG_DIR;
  if (env.XDG_CONFIG_HOME) return join(env.XDG_CONFIG_HOME, 'latchkey');
  return join(env.HOME ?? homedir(), '.config', 'latchkey');
}

export function openConfigDirectory(path: string): ConfigDirectory {
  return {
    path,
    async read(name) {
      const file = join(path, name);
      await requirePrivateFile(file);
      return readFile(file, 'utf8').catch(nullIf('ENOENT'));
    },
    async write(name, text) {
      await rename(await writeDraft(path, text), join(path, name));
    },
    async create(name, text) {
      const draft = await writeDraft(path, text);
      const made = await link(draft, join(path, name)).then(() => true, nullIf('EEXIST'));
      await rm(draft, { force: true });
      return made ?? false;
    },
  };
}

async function writeDraft(path: string, text: string): Promise<string> {
  await ensureDirectory(path);
  const draft = join(path, `.draft-${randomUUID()}`);
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } catch (cause) {
    await rm(draft, { force: true });
    throw cause;
  } finally {
    await file.close();
  }
  return draft;
}

async function ensureDirectory(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: 0o700 });
  if (made !== undefined) return;
  const facts = await stat(path);
  if (!ownedByMe(facts.uid)) throw new Failure('failed', `\`${path}\` belongs to another user, so it is not used`);
  if (!openToOthers(facts.mode)) return;
  // An empty directory was made for this; one with other things in it may have its reasons, unless others can swap files.
  if ((await readdir(path)).length === 0) return chmod(path, 0o700);
  if ((facts.mode & 0o022) !== 0) {
    throw new Failure('failed', `\`${path}\` may be changed by others, so it is not used`, {
      hint: `make it yours alone with \`chmod 700 ${path}\``,
    });
  }
}

/** A token or key that others can read is no longer only its owner's; saying so beats using it. */
async function requirePrivateFile(file: string): Promise<void> {
  const facts = await lstat(file).catch(nullIf('ENOENT'));
  if (!facts) return;
  if (!facts.isFile()) throw new Failure('failed', `\`${file}\` is not a plain file, so it is not used`);
  if (!ownedByMe(facts.uid)) throw new Failure('failed', `\`${file}\` belongs to another user, so it is not used`);
  if (openToOthers(facts.mode)) {
    throw new Failure('failed', `\`${file}\` may be read or changed by others, so it is not used`, {
      hint: `make it yours alone with \`chmod 600 ${file}\`, and sign in again if others could read it`,
    });
  }
}

// On Windows the access list of the user's profile guards these files; modes and numeric owners mean nothing there.
const openToOthers = (mode: number): boolean => process.platform !== 'win32' && (mode & 0o077) !== 0;
const ownedByMe = (uid: number): boolean => process.getuid === undefined || uid === process.getuid();

function nullIf(code: string): (error: NodeJS.ErrnoException) => null {
  return (error) => {
    if (error.code === code) return null;
    throw error;
  };
}
