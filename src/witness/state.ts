import { createHash, createPrivateKey, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCheckpoint } from '../ledger/checkpoint.ts';
import { parseNote } from '../ledger/note.ts';

/** The last checkpoint that was cosigned for an origin. */
export interface Seen {
  readonly size: number;
  readonly root: Uint8Array;
  /** The note as the ledger signed it, with this witness's cosignature at its end. */
  readonly note: string;
}

/** What a witness keeps. After a crash each origin's file is what it was before, or what it was to become. */
export interface WitnessState {
  readonly privateKey: KeyObject;
  readonly seen: ReadonlyMap<string, Seen>;
  /** Keeps a checkpoint as the last one of its origin; resolves when it would survive a power cut. */
  keep(origin: string, seen: Seen): Promise<void>;
  /** Keeps two signed checkpoints that cannot both be true; of each origin, the first pair. */
  keepEvidence(origin: string, notes: readonly string[]): Promise<void>;
}

/** A file that cannot be used as it is. To begin anew instead would be to forget what was cosigned. */
export class WitnessStateError extends Error {
  override readonly name = 'WitnessStateError';
}

const keyFile = 'key.pem';
const checkpointEnding = '.checkpoint';
const draftEnding = '.draft';

/** Reads the directory, making it and the key where they are missing. @throws WitnessStateError for a broken file. */
export async function openWitnessState(directory: string): Promise<WitnessState> {
  const privateKey = await openWitnessKey(directory);
  const seen = new Map<string, Seen>();
  const files = await readdir(directory);
  // Left behind by whoever stopped before the rename; nobody was answered on the strength of one.
  for (const file of files.filter((name) => name.endsWith(draftEnding))) await rm(join(directory, file));
  for (const file of files.filter((name) => name.endsWith(checkpointEnding))) {
    const { origin, ...last } = readSeen(await readFile(join(directory, file), 'utf8'), join(directory, file));
    if (file !== fileOf(origin)) throw broken(join(directory, file));
    seen.set(origin, last);
  }
  return {
    privateKey,
    seen,
    async keep(origin, next) {
      const path = join(directory, fileOf(origin));
      await rename(await writeBeside(directory, next.note), path);
      await syncDirectory(directory);
      seen.set(origin, next);
    },
    async keepEvidence(origin, notes) {
      const path = join(directory, fileOf(origin).replace(checkpointEnding, '.conflict'));
      await createFile(directory, path, notes.join('\n'));
    },
  };
}

/** The witness's key, made when there is none. @throws WitnessStateError when others could read it, or it is none. */
export async function openWitnessKey(directory: string): Promise<KeyObject> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, keyFile);
  const fresh = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  // Of two first starts, one makes the key, and both use it.
  if (!(await exists(path))) await createFile(directory, path, fresh as string);
  if (process.platform !== 'win32' && ((await stat(path)).mode & 0o077) !== 0) {
    throw new WitnessStateError(`\`${path}\` is open to other users; make a new key, or run \`chmod 600\` on it`);
  }
  const text = await readFile(path, 'utf8');
  try {
    const key = createPrivateKey(text);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // The cause would quote what it could not read: part of a key.
  }
  throw new WitnessStateError(`\`${path}\` holds no Ed25519 key; restore it`);
}

/** Origins may hold anything and be long, so a file is named by what they hash to. */
function fileOf(origin: string): string {
  return createHash('sha256').update(origin).digest('hex').slice(0, 40) + checkpointEnding;
}

function readSeen(note: string, path: string): Seen & { readonly origin: string } {
  try {
    const { origin, size, root } = parseCheckpoint(parseNote(note).text);
    return { origin, size, root, note };
  } catch {
    throw broken(path);
  }
}

function broken(path: string): WitnessStateError {
  return new WitnessStateError(`\`${path}\` cannot be read; restore it: without it, what was cosigned is forgotten`);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

/** Makes a file, whole; one that is there already stays. */
async function createFile(directory: string, path: string, text: string): Promise<void> {
  const written = await writeBeside(directory, text);
  try {
    await link(written, path);
    await syncDirectory(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(written, { force: true });
  }
}

async function writeBeside(directory: string, text: string): Promise<string> {
  const path = join(directory, `.${randomUUID()}${draftEnding}`);
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
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
