import { CompactEncrypt, importJWK } from 'jose';
import { jweAlgorithms } from '../domain/compact-jwe.ts';

/** A public EC key on P-256 to which something is encrypted; coordinates are base64url. */
export interface RecipientKey {
  readonly x: string;
  readonly y: string;
}

/**
 * Encrypts a text to a key: a compact JWE (RFC 7516), ECDH-ES with a fresh key of the sender's and A256GCM.
 * @param typ what it is, in its header, so that nothing is taken for something else.
 */
export async function sealToKey({ x, y }: RecipientKey, typ: string, text: string): Promise<string> {
  const key = await importJWK({ kty: 'EC', crv: 'P-256', x, y }, jweAlgorithms.alg);
  return new CompactEncrypt(Buffer.from(text, 'utf8')).setProtectedHeader({ ...jweAlgorithms, typ }).encrypt(key);
}
