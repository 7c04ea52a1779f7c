import { createHash, KeyObject, randomUUID, sign } from 'node:crypto';
import { exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';

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
  // Signed in place: a benchmark's proofs should take as little as may be from the machine that it measures.
  const key = KeyObject.from(privateKey);
  return {
    privateKey,
    publicJwk,
    async proof(htm, htu, { token, claims = {}, header = {} } = {}) {
      const ath = token && createHash('sha256').update(token).digest('base64url');
      const iat = Math.floor(Date.now() / 1000);
      const parts = [
        { alg: 'ES256', typ: 'dpop+jwt', jwk: publicJwk, ...header },
        { jti: randomUUID(), htm, htu, iat, ...(ath && { ath }), ...claims },
      ];
      const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
      const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
      return `${signed}.${signature.toString('base64url')}`;
    },
  };
}
