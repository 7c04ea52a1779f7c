import type { CryptoKey } from 'jose';

/** The bare arithmetic of a lifecycle: ES256 with WebCrypto, as the product uses it, and nothing around it. */

const algorithm = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** What a signature check needs, taken apart beforehand. */
export interface BareSignature {
  readonly key: CryptoKey;
  readonly signature: Buffer<ArrayBuffer>;
  readonly signed: Buffer<ArrayBuffer>;
}

/** Takes a compact JWS apart. */
export function bareSignature(jws: string, key: CryptoKey): BareSignature {
  const end = jws.lastIndexOf('.');
  const signature = Buffer.from(jws.slice(end + 1), 'base64url');
  return { key, signature, signed: Buffer.from(jws.slice(0, end)) };
}

/** @throws when the signature does not hold: a floor that checks nothing would be no floor. */
export async function verifyBare({ key, signature, signed }: BareSignature): Promise<void> {
  if (!(await crypto.subtle.verify(algorithm, key, signature, signed))) throw new Error('the signature does not hold');
}

export async function signBare(key: CryptoKey, bytes: Buffer<ArrayBuffer>): Promise<void> {
  await crypto.subtle.sign(algorithm, key, bytes);
}
