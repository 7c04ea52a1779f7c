import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

/**
 * The public key with these coordinates (base64url) on P-256.
 * @throws for a point that is not on the curve (RFC 8725 §3.4).
 */
export function publicKeyOnP256(x: string, y: string): KeyObject {
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' });
}

/**
 * Whether a compact JWS bears that key's ES256 signature (RFC 7518 §3.4). For a text that `requireCanonicalCompactJws`
 * has read and whose `alg` is known to be `ES256`: neither is looked at here. In place, since handing a signature to
 * another thread and back, as WebCrypto does, takes longer than checking it.
 */
export function hasEs256Signature(jws: string, key: KeyObject): boolean {
  const end = jws.lastIndexOf('.');
  const signature = Buffer.from(jws.slice(end + 1), 'base64url');
  return signature.length === 64 && verify('sha256', Buffer.from(jws.slice(0, end)), key, toDer(signature));
}

/** The ES256 signature over a text, in base64url: what comes after the second dot of a compact JWS. */
export function es256Signature(text: string, key: KeyObject): string {
  return fromDer(sign('sha256', Buffer.from(text), key)).toString('base64url');
}

// Node converts between JOSE's form of a signature and OpenSSL's too, when the key comes with that wish; but looking
// into such an argument takes it as long as the signature itself.

/** Two numbers of 32 bytes as the DER sequence of X9.62. */
function toDer(signature: Buffer): Buffer {
  const der = Buffer.allocUnsafe(longestDer);
  const end = writeInteger(der, writeInteger(der, 2, signature, 0), signature, 32);
  der[0] = 0x30;
  der[1] = end - 2;
  return der.subarray(0, end);
}

const longestDer = 2 + 2 * (2 + 1 + 32);

/** Writes the number of 32 bytes at `from` as a DER integer at `at`. @returns where it ends. */
function writeInteger(der: Buffer, at: number, signature: Buffer, from: number): number {
  const last = from + 31;
  let first = from;
  while (first < last && signature[first] === 0) first++;
  // A first bit that is set would make it negative.
  const sign = signature[first]! >= 0x80 ? 1 : 0;
  der[at] = 0x02;
  der[at + 1] = sign + last - first + 1;
  let to = at + 2;
  if (sign === 1) der[to++] = 0;
  while (first <= last) der[to++] = signature[first++]!;
  return to;
}

function fromDer(der: Buffer): Buffer {
  const signature = Buffer.alloc(64);
  let at = 2;
  for (const end of [32, 64]) {
    const next = at + 2 + der[at + 1]!;
    const digits = der.subarray(Math.max(at + 2, next - 32), next);
    digits.copy(signature, end - digits.length);
    at = next;
  }
  return signature;
}
