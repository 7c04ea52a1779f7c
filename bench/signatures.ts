import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

/** The bare arithmetic of a lifecycle: ES256 as fast as Node makes and checks it, and nothing around it. */

/** What a signature check needs, made ready beforehand. */
export interface BareSignature {
  readonly key: KeyObject;
  /** In OpenSSL's own form. */
  readonly signature: Buffer;
  readonly signed: Buffer;
}

/** The same bytes as under a compact JWS, signed by this key. */
export function bareSignature(jws: string, privateKey: KeyObject): BareSignature {
  const signed = Buffer.from(jws.slice(0, jws.lastIndexOf('.')));
  return { key: createPublicKey(privateKey), signature: sign('sha256', signed, privateKey), signed };
}

/** The same bytes as under a checkpoint, signed by this Ed25519 key. */
export function bareCheckpoint(text: string, privateKey: KeyObject): BareSignature {
  const signed = Buffer.from(text);
  return { key: createPublicKey(privateKey), signature: sign(null, signed, privateKey), signed };
}

/** @throws when the signature does not hold: a floor that checks nothing would be no floor. */
export function verifyBare({ key, signature, signed }: BareSignature): void {
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  if (!verify(digest, signed, key, signature)) throw new Error('the signature does not hold');
}

export function signBare(key: KeyObject, bytes: Buffer): void {
  sign('sha256', bytes, key);
}
