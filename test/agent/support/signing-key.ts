import { createHash } from 'node:crypto';
import { calculateJwkThumbprint, CompactSign, exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';

/** A key of the test's own: a broker's, a thief's, an engineer's. */
export interface SigningKey {
  readonly kid: string;
  readonly publicJwk: JWK;
  readonly privateKey: CryptoKey;
}

export async function newSigningKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  return { kid: await calculateJwkThumbprint(publicJwk), publicJwk, privateKey };
}

/** Signs exactly this header (but for `alg`) and payload; a payload as text is taken as it is. */
export async function signToken(key: SigningKey, header: object, payload: object | string): Promise<string> {
  const bytes = Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
  return new CompactSign(bytes).setProtectedHeader({ alg: 'ES256', ...header }).sign(key.privateKey);
}

export function sha256(text: string | Uint8Array): string {
  return createHash('sha256').update(text).digest('base64url');
}

export interface ProofParts {
  readonly method: string;
  readonly url: string;
  readonly credential: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly claims?: object;
  readonly header?: object;
}

let proofs = 0;

/** A DPoP proof of RFC 9449 §4.2 with `ath`. */
export async function makeProof(key: SigningKey, parts: ProofParts): Promise<string> {
  const { method, url, credential, now, claims, header } = parts;
  const iat = Math.floor(now / 1_000);
  const payload = { jti: `proof-${(proofs += 1)}`, htm: method, htu: url, iat, ath: sha256(credential), ...claims };
  return signToken(key, { typ: 'dpop+jwt', jwk: key.publicJwk, ...header }, payload);
}
