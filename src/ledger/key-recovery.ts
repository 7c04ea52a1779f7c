import type { KeyObject } from 'node:crypto';
import { decodeBase64 } from './base64.ts';
import { parseDecimal } from './decimal.ts';
import { readLedgerKey } from './key-rotation.ts';
import { hashLength } from './merkle.ts';
import { formatNote } from './note.ts';
import { openNote, signNote } from './note-signatures.ts';
import { Malformed } from './verdict.ts';
import type { VerifierKey } from './vkey.ts';

/** What the recovery key says once a ledger's key has leaked. */
export interface Recovery {
  readonly origin: string;
  /** Counts up with every statement of a recovery key; of two, the larger one holds. */
  readonly number: number;
  /** The vkey that alone signs from now on. */
  readonly successor: string;
  /** Up to which tree history counts that was signed before: of all that leaked keys signed, this and nothing else. */
  readonly size: number;
  readonly root: Uint8Array;
}

const firstLine = 'latchkey-ledger-recovery@v1';
const longestStatement = 2_048;

/** The name of the recovery key of an origin's ledger: no checkpoint can be taken for its statement, nor the reverse. */
export function recoveryKeyName(origin: string): string {
  return `${origin}/recovery`;
}

/** The text that the recovery key signs. */
export function formatRecovery({ origin, number, successor, size, root }: Recovery): string {
  const encoded = Buffer.from(root).toString('base64');
  return `${firstLine}\n${origin}\n${number}\n${successor}\n${size}\n${encoded}\n`;
}

/** Signs a statement. @returns the signed note (C2SP signed-note). */
export function signRecovery(recovery: Recovery, privateKey: KeyObject): string {
  const text = formatRecovery(recovery);
  return formatNote(text, [signNote(text, recoveryKeyName(recovery.origin), privateKey)]);
}

/**
 * Opens a statement of the recovery key of that origin.
 * @param key the recovery key as it is pinned.
 * @throws Malformed with the first thing that does not hold.
 */
export function openRecovery(statement: string, key: VerifierKey, origin: string): Recovery {
  if (Buffer.byteLength(statement) > longestStatement) {
    throw new Malformed(`the statement is longer than ${longestStatement} bytes`);
  }
  if (key.name !== recoveryKeyName(origin)) throw new Malformed('the recovery key is of another origin');
  const recovery = parseRecovery(openNote(statement, [key]).text);
  if (recovery.origin !== origin) throw new Malformed('the statement is of another origin');
  return recovery;
}

/** True for what says to be a statement of a recovery key. */
export function isRecovery(text: string): boolean {
  return text.startsWith(`${firstLine}\n`);
}

/** Reads the text of a statement, of which nothing may be believed before its signature is verified. */
export function parseRecovery(text: string): Recovery {
  const lines = text.split('\n');
  if (lines.shift() !== firstLine) throw new Malformed(`the first line of a recovery is \`${firstLine}\``);
  const [origin, number, successor, size, encoded, end, ...more] = lines;
  if (end !== '' || more.length > 0) throw new Malformed('a recovery is six lines');
  if (readLedgerKey(successor).name !== origin) throw new Malformed('the successor is of another origin');
  const root = decodeBase64(encoded!, 'the root of the recovery');
  if (root.length !== hashLength) throw new Malformed('the root of the recovery is not 32 bytes long');
  const counted = parseDecimal(number!, 'the number of the recovery');
  if (counted < 1) throw new Malformed('recoveries are numbered from one on');
  return { origin, number: counted, successor: successor!, size: parseDecimal(size!, 'the size'), root };
}

/** Reads a recovery key for the ledger of that origin. @throws Malformed when it is none. */
export function readRecoveryKey(text: string, origin: string): VerifierKey {
  const key = readLedgerKey(text);
  if (key.name === recoveryKeyName(origin)) return key;
  throw new Malformed(`the recovery key of \`${origin}\` is named \`${recoveryKeyName(origin)}\``);
}
