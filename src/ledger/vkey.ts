import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { decodeBase64 } from './base64.ts';
import { Malformed } from './verdict.ts';

/** The kinds of signature known here, by the byte that names them (C2SP signed-note). */
export const signatureTypes = { ed25519: 0x01, cosignature: 0x04 } as const;

export type SignatureKind = keyof typeof signatureTypes;

/** A key that signatures of notes are verified with. */
export interface VerifierKey {
  readonly name: string;
  /** Eight hexadecimal digits. Name and id together name the key. */
  readonly id: string;
  readonly kind: SignatureKind;
  /** The 32 bytes of the Ed25519 key. */
  readonly bytes: Buffer;
  readonly publicKey: KeyObject;
}

const keyLength = 32;

/** True for the name of a key: not empty, and without white space or a plus sign. */
export function isKeyName(name: string): boolean {
  return /^[^\s+\p{White_Space}\p{Cc}]+$/u.test(name) && name.isWellFormed();
}

/** The first four bytes of SHA-256 over name, newline, type and key, in hexadecimal. */
export function keyId(name: string, kind: SignatureKind, publicKey: Uint8Array): string {
  return createHash('sha256')
    .update(`${name}\n`)
    .update(Buffer.of(signatureTypes[kind]))
    .update(publicKey)
    .digest('hex')
    .slice(0, 8);
}

/** A verifier key as text: `name+hex(key id)+base64(type || key)` (C2SP signed-note). */
export function formatVkey(name: string, kind: SignatureKind, publicKey: Uint8Array): string {
  if (!isKeyName(name)) throw new RangeError(`\`${name}\` cannot name a key`);
  const typed = Buffer.concat([Buffer.of(signatureTypes[kind]), publicKey]);
  return `${name}+${keyId(name, kind, publicKey)}+${typed.toString('base64')}`;
}

/** Reads a verifier key. @throws Malformed when it is none, is of another kind, or its id is not that of its key. */
export function parseVkey(text: string): VerifierKey {
  // The base64 may hold a plus sign, so only the first two divide.
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  if (name === undefined || id === undefined || encoded === undefined || !isKeyName(name)) {
    throw new Malformed('a verifier key is `name+id+key`');
  }
  const typed = decodeBase64(encoded, 'the verifier key');
  const kind = kindOf(typed[0]);
  const bytes = typed.subarray(1);
  if (bytes.length !== keyLength) throw new Malformed('the verifier key is not 32 bytes long');
  if (keyId(name, kind, bytes) !== id) throw new Malformed('the id of the verifier key is not that of its key');
  return { name, id, kind, bytes, publicKey: ed25519Key(bytes) };
}

function kindOf(type: number | undefined): SignatureKind {
  if (type === signatureTypes.ed25519) return 'ed25519';
  if (type === signatureTypes.cosignature) return 'cosignature';
  throw new Malformed('the verifier key is of a kind that is not known here');
}

function ed25519Key(bytes: Buffer): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' });
}
