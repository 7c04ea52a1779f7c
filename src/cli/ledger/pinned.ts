import { readFile } from 'node:fs/promises';
import { openCheckpoint, parseCheckpoint } from '../../ledger/checkpoint.ts';
import { readLedgerKey } from '../../ledger/key-rotation.ts';
import { parseNote } from '../../ledger/note.ts';
import { Malformed } from '../../ledger/verdict.ts';
import type { VerifierKey } from '../../ledger/vkey.ts';
import { Failure } from '../failure.ts';
import { readTrustedRecoveryKey } from './key-trust.ts';
import type { Trust } from './verify.ts';

/**
 * Reads what is believed beforehand: a key as a C2SP vkey, that of the recovery key, and a file with a signed checkpoint
 * that was kept, before which the key may stand on a line of its own.
 * @throws Failure when any cannot be used.
 */
export async function readTrust(given: {
  readonly key?: string | undefined;
  readonly recoveryKey?: string | undefined;
  readonly pinned?: string | undefined;
}): Promise<Trust> {
  const { pinned: file } = given;
  const recoveryKey = given.recoveryKey === undefined ? null : readKey(given.recoveryKey, readTrustedRecoveryKey);
  const key = given.key === undefined ? null : readKey(given.key);
  if (file === undefined) return { key, recoveryKey, pinned: null, pinnedNote: null };
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Failure('usage', `\`${file}\` cannot be read (${cause.code ?? cause.message})`, { cause });
  });
  const [, line, note = text] = /^([^\s+]+\+[0-9a-f]{8}\+\S+)\n+([^]*)$/.exec(text) ?? [];
  const trusted = key ?? (line === undefined ? null : readKey(line));
  try {
    const { text: said, signatures } = parseNote(note);
    const isOwn = trusted && signatures.some(({ name, id }) => name === trusted.name && id === trusted.id);
    const pinned = isOwn
      ? openCheckpoint(note, { origin: trusted.name, ledgerKeys: [trusted] }).checkpoint
      : parseCheckpoint(said);
    return { key: trusted, recoveryKey, pinned, pinnedNote: trusted && !isOwn ? note : null };
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new Failure('usage', `\`${file}\` cannot be held against anything: ${cause.message}`, { cause });
  }
}

function readKey(text: string, read = readLedgerKey): VerifierKey {
  try {
    return read(text);
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new Failure('usage', cause.message, { hint: 'a ledger’s key is `name+id+key`, as it is shown at enrolment' });
  }
}
