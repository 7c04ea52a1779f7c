import { createHash, randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';

/** An engineer's key, and the proofs (RFC 9449) made with it. */
export interface EngineerKey {
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
  proof(method: string, url: string, more?: { token?: string; claims?: object; header?: object }): Promise<string>;
}

export async function newEngineerKey(): Promise<EngineerKey> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const { kty, crv, x, y } = await exportJWK(publicKey);
  const publicJwk = { kty, crv, x, y } as JWK;
  return {
    privateKey,
    publicJwk,
    proof(htm, htu, { token, claims = {}, header = {} } = {}) {
      const ath = token && createHash('sha256').update(token).digest('base64url');
      const iat = Math.floor(Date.now() / 1000);
      return new SignJWT({ jti: randomUUID(), htm, htu, iat, ...(ath && { ath }), ...claims })
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: publicJwk, ...header })
        .sign(privateKey);
    },
  };
}
