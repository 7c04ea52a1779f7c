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
  const numbers = Buffer.concat([derInteger(signature.subarray(0, 32)), derInteger(signature.subarray(32))]);
  return Buffer.concat([Buffer.of(0x30, numbers.length), numbers]);
}

function derInteger(number: Buffer): Buffer {
  const start = number.findIndex((byte) => byte !== 0);
  const digits = number.subarray(start < 0 ? number.length - 1 : start);
  // A first bit that is set would make it negative.
  const sign = digits[0]! >= 0x80 ? [0] : [];
  return Buffer.concat([Buffer.of(0x02, digits.length + sign.length, ...sign), digits]);
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
