import { decodeBase64 } from './base64.ts';
import { isKeyName } from './vkey.ts';
import { Malformed } from './verdict.ts';

/** A line of a signed note: who signed, and with what. */
export interface NoteSignature {
  readonly name: string;
  /** Eight hexadecimal digits. */
  readonly id: string;
  /** What follows the key's id. */
  readonly bytes: Buffer;
}

/** A signed note taken apart. Nothing in it may be believed before a signature of a known key is verified. */
export interface Note {
  /** What is signed, its last newline included. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** C2SP asks for at least 16 signatures, and warns that those of other kinds have up to 5,000 bytes each. */
const mostSignatures = 100;
const longestNote = 262_144;
const keyIdLength = 4;

/**
 * Takes a signed note apart (C2SP signed-note): UTF-8 without control characters but newline, a text that ends in one,
 * an empty line, and signature lines.
 * @throws Malformed for anything else.
 */
export function parseNote(note: string | Uint8Array): Note {
  const whole = typeof note === 'string' ? note : decodeUtf8(note);
  if (Buffer.byteLength(whole) > longestNote) throw new Malformed(`the note is longer than ${longestNote} bytes`);
  if (!whole.isWellFormed()) throw new Malformed('the note is not UTF-8');
  // oxlint-disable-next-line no-control-regex -- these are what the format forbids
  if (/[\u0000-\u0009\u000b-\u001f]/.test(whole)) throw new Malformed('the note holds a control character');
  const split = whole.lastIndexOf('\n\n');
  if (split === -1) throw new Malformed('the note has no empty line before its signatures');
  const text = whole.slice(0, split + 1);
  const lines = whole.slice(split + 2).split('\n');
  if (lines.pop() !== '') throw new Malformed('the note does not end in a newline');
  if (lines.length === 0) throw new Malformed('the note has no signature');
  if (lines.length > mostSignatures) throw new Malformed(`the note has more than ${mostSignatures} signatures`);
  return { text, signatures: lines.map(parseSignature) };
}

function parseSignature(line: string): NoteSignature {
  const [, name, encoded] = /^— ([^ ]+) ([^ ]+)$/.exec(line) ?? [];
  if (name === undefined || encoded === undefined || !isKeyName(name)) {
    throw new Malformed('a signature line is not `— name signature`');
  }
  const bytes = decodeBase64(encoded, 'a signature');
  if (bytes.length <= keyIdLength) throw new Malformed('a signature is shorter than the id of its key');
  return { name, id: bytes.toString('hex', 0, keyIdLength), bytes: bytes.subarray(keyIdLength) };
}

/** A note of a text and signature lines, each of which ends in its newline. */
export function formatNote(text: string, signatureLines: readonly string[]): string {
  return `${text}\n${signatureLines.join('')}`;
}

/** The line that says who signed, its newline included. */
export function formatSignature({ name, id, bytes }: NoteSignature): string {
  return `— ${name} ${Buffer.concat([Buffer.from(id, 'hex'), bytes]).toString('base64')}\n`;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed('the note is not UTF-8');
  }
}
