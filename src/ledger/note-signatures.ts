import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { formatSignature, parseNote, type Note, type NoteSignature } from './note.ts';
import { Malformed } from './verdict.ts';
import { keyId, type VerifierKey } from './vkey.ts';

/** A signature that was verified. */
export interface Verified {
  readonly key: VerifierKey;
  /** When a witness cosigned, in seconds since the epoch; null for a plain signature, which does not say. */
  readonly timestamp: number | null;
}

/** A note of which at least one signature, and every one of a known key, was verified. */
export interface OpenedNote extends Note {
  readonly verified: readonly Verified[];
}

const timestampLength = 8;
const signatureLength = 64;

/**
 * Takes a note apart and verifies it (C2SP signed-note): signatures of unknown keys count for nothing, every one of a
 * known key has to verify, and there has to be one.
 * @throws Malformed with what does not hold.
 */
export function openNote(note: string | Uint8Array, keys: readonly VerifierKey[]): OpenedNote {
  const parsed = parseNote(note);
  const verified: Verified[] = [];
  for (const signature of parsed.signatures) {
    const [key, another] = keys.filter(({ name, id }) => name === signature.name && id === signature.id);
    if (!key) continue;
    // Two keys may be made to share an id; which of them was meant is then nobody's to guess.
    if (another && !another.bytes.equals(key.bytes))
      throw new Malformed(`two known keys are \`${key.name}+${key.id}\``);
    verified.push(verifySignature(parsed.text, signature, key));
  }
  if (verified.length === 0) throw new Malformed('no signature is of a known key');
  return { ...parsed, verified };
}

function verifySignature(text: string, { bytes }: NoteSignature, key: VerifierKey): Verified {
  const timestamp = key.kind === 'cosignature' ? readTimestamp(bytes, key) : null;
  const message = timestamp === null ? text : cosignedMessage(text, timestamp);
  const signature = timestamp === null ? bytes : bytes.subarray(timestampLength);
  const isGood = signature.length === signatureLength && verify(null, Buffer.from(message), key.publicKey, signature);
  if (!isGood) throw new Malformed(`the signature of \`${key.name}\` is not good`);
  return { key, timestamp };
}

function readTimestamp(bytes: Buffer, { name }: VerifierKey): number {
  if (bytes.length < timestampLength) throw new Malformed(`the cosignature of \`${name}\` has no time`);
  const seconds = bytes.readBigUInt64BE();
  if (seconds > BigInt(Number.MAX_SAFE_INTEGER)) throw new Malformed(`the time of \`${name}\` is out of range`);
  return Number(seconds);
}

/** What a witness signs: a header that no plain note begins with, its time, and the note's text (tlog-cosignature). */
function cosignedMessage(text: string, timestamp: number): string {
  return `cosignature/v1\ntime ${timestamp}\n${text}`;
}

/** Signs a note's text with an Ed25519 key of that name. @returns the signature line. */
export function signNote(text: string, name: string, privateKey: KeyObject): string {
  const bytes = sign(null, Buffer.from(text), privateKey);
  return formatSignature({ name, id: keyId(name, 'ed25519', publicBytes(privateKey)), bytes });
}

/**
 * Cosigns a checkpoint's text as the witness of that name (`cosignature/v1`).
 * @param timestamp seconds since the epoch.
 * @returns the signature line.
 */
export function cosignNote(text: string, name: string, privateKey: KeyObject, timestamp: number): string {
  const time = Buffer.alloc(timestampLength);
  time.writeBigUInt64BE(BigInt(timestamp));
  const signature = sign(null, Buffer.from(cosignedMessage(text, timestamp)), privateKey);
  const bytes = Buffer.concat([time, signature]);
  return formatSignature({ name, id: keyId(name, 'cosignature', publicBytes(privateKey)), bytes });
}

function publicBytes(privateKey: KeyObject): Buffer {
  return Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x!, 'base64url');
}
