import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { parseCheckpoint } from '../../ledger/checkpoint.ts';
import { openRecovery, readRecoveryKey, recoveryKeyName, signRecovery } from '../../ledger/key-recovery.ts';
import { readLedgerKey } from '../../ledger/key-rotation.ts';
import { parseNote } from '../../ledger/note.ts';
import { Malformed } from '../../ledger/verdict.ts';
import { formatVkey } from '../../ledger/vkey.ts';
import { Failure } from '../failure.ts';

/**
 * Makes the recovery key of a ledger into a new file that its owner alone can read. It belongs on no broker.
 * @returns its vkey, for the broker's configuration.
 * @throws Failure when the file is there already, or cannot be written.
 */
export async function makeRecoveryKey(origin: string, path: string): Promise<string> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const vkey = usable(() => vkeyOf(origin, privateKey), `\`${origin}\` is no origin`);
  const text = `${JSON.stringify({ ...privateKey.export({ format: 'jwk' }), origin }, null, 2)}\n`;
  const file = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    throw new Failure('usage', `\`${path}\` cannot be made (${cause.code ?? cause.message})`, { cause });
  });
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return vkey;
}

export interface RecoverySigning {
  /** The file with the recovery key. */
  readonly keyFile: string;
  /** The vkey of the key that is to sign from now on. */
  readonly successor: string;
  /** A file with the last signed checkpoint whose history counts. */
  readonly checkpointFile: string;
  /** Larger than that of any statement before. */
  readonly number: number;
}

/**
 * Signs, on a machine that need not be connected to anything, that the successor takes the place of every key before it,
 * and up to where history counts.
 * @returns the statement, a signed note.
 * @throws Failure when a file or key cannot be used.
 */
export async function signRecoveryStatement(signing: RecoverySigning): Promise<string> {
  const { keyFile, successor, checkpointFile, number } = signing;
  const { origin, privateKey } = await readKeyFile(keyFile);
  const note = await read(checkpointFile);
  const checkpoint = usable(() => parseCheckpoint(parseNote(note).text), `\`${checkpointFile}\` holds no checkpoint`);
  if (checkpoint.origin !== origin) {
    throw new Failure('usage', `the checkpoint is of \`${checkpoint.origin}\`, the recovery key of \`${origin}\``);
  }
  const { name } = usable(() => readLedgerKey(successor), 'the successor is no key of a ledger');
  if (name !== origin) throw new Failure('usage', `the successor is of \`${name}\`, the recovery key of \`${origin}\``);
  const { size, root } = checkpoint;
  const statement = signRecovery({ origin, number, successor, size, root }, privateKey);
  openRecovery(statement, readRecoveryKey(vkeyOf(origin, privateKey), origin), origin);
  return statement;
}

async function readKeyFile(path: string): Promise<{ origin: string; privateKey: KeyObject }> {
  if (process.platform !== 'win32' && ((await stat(path).catch(() => null))?.mode ?? 0) & 0o077) {
    throw new Failure('usage', `\`${path}\` is open to others on this machine`, { hint: 'run `chmod 600` on it' });
  }
  const text = await read(path);
  try {
    const { origin, ...jwk } = JSON.parse(text) as JsonWebKey & { readonly origin?: unknown };
    const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
    if (typeof origin === 'string' && privateKey.asymmetricKeyType === 'ed25519') return { origin, privateKey };
  } catch {
    // The cause would quote what it could not read: part of a key.
  }
  throw new Failure('usage', `\`${path}\` holds no recovery key`, {
    hint: 'one is made by `latchkey keys recovery-key`',
  });
}

function vkeyOf(origin: string, privateKey: KeyObject): string {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return formatVkey(recoveryKeyName(origin), 'ed25519', Buffer.from(x!, 'base64url'));
}

/** What a file holds. @throws Failure when it cannot be read. */
export function read(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Failure('usage', `\`${path}\` cannot be read (${cause.code ?? cause.message})`, { cause });
  });
}

function usable<T>(work: () => T, otherwise: string): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof Malformed) && !(cause instanceof RangeError)) throw cause;
    throw new Failure('usage', `${otherwise}: ${cause.message}`, { cause });
  }
}
