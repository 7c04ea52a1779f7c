import { readFile } from 'node:fs/promises';
import { openCheckpoint, parseCheckpoint } from '../../ledger/checkpoint.ts';
import { parseNote } from '../../ledger/note.ts';
import { Malformed } from '../../ledger/verdict.ts';
import { parseVkey, type VerifierKey } from '../../ledger/vkey.ts';
import { Failure } from '../failure.ts';
import type { Trust } from './verify.ts';

/**
 * Reads what is believed beforehand: a key as a C2SP vkey, and a file with a signed checkpoint that was kept, before
 * which the key may stand on a line of its own.
 * @throws Failure when either cannot be used, or the kept checkpoint is not signed by the key.
 */
export async function readTrust(vkey: string | undefined, file: string | undefined): Promise<Trust> {
  const given = vkey === undefined ? null : readKey(vkey);
  if (file === undefined) return { key: given, pinned: null };
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Failure('usage', `\`${file}\` cannot be read (${cause.code ?? cause.message})`, { cause });
  });
  const [, line, note = text] = /^([^\s+]+\+[0-9a-f]{8}\+\S+)\n+([^]*)$/.exec(text) ?? [];
  const key = given ?? (line === undefined ? null : readKey(line));
  try {
    const pinned = key
      ? openCheckpoint(note, { origin: key.name, ledgerKeys: [key] }).checkpoint
      : parseCheckpoint(parseNote(note).text);
    return { key, pinned };
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new Failure('usage', `\`${file}\` cannot be held against anything: ${cause.message}`, { cause });
  }
}

function readKey(text: string): VerifierKey {
  try {
    const key = parseVkey(text);
    if (key.kind === 'ed25519') return key;
    throw new Malformed('the key is a witness’s, not a ledger’s');
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new Failure('usage', cause.message, { hint: 'a ledger’s key is `name+id+key`, as it is shown at enrolment' });
  }
}
