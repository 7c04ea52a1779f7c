import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import type { DeviceId } from '../../src/domain/ids.ts';

/** A device as the API sees one: a key, and what it signs. Not an agent: it believes and guards nothing. */
export interface TestDevice {
  readonly id: DeviceId;
  readonly publicJwk: JWK;
  readonly privateKey: CryptoKey;
  enrol(code: string, facts?: object): Promise<{ status: number; body: Record<string, unknown> }>;
  /** What `POST /v1/devices` is sent, to be spoilt. */
  enrolment(code: string, facts?: object): Promise<Record<string, unknown>>;
  assertion(claims?: object, header?: object): Promise<string>;
  signIn(assertion?: string): Promise<{ status: number; body: Record<string, string> }>;
  /** A call with the device's own token. */
  call(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown>; text: string }>;
}

/**
 * @param publicUrl what its statements are for.
 * @param url where the broker listens.
 * @param encryptionKey what it enrols beside its own key, if anything.
 */
export async function newTestDevice(publicUrl: string, url: string, encryptionKey?: JWK): Promise<TestDevice> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const { kty, crv, x, y } = await exportJWK(publicKey);
  const publicJwk = { kty, crv, x, y } as JWK;
  let id = 'dev_00000000000000000000000000' as DeviceId;
  let token = '';

  const answer = async (response: Response): Promise<{ status: number; body: never; text: string }> => {
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, body: (isJson ? JSON.parse(text) : {}) as never, text };
  };
  const device = {
    get id() {
      return id;
    },
    publicJwk,
    privateKey,
    async enrolment(code: string, facts: object = { serial: randomUUID(), hostname: 'room' }) {
      const claims = { code, ...(encryptionKey && { encryptionKey: await calculateJwkThumbprint(encryptionKey) }) };
      const proof = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', typ: 'latchkey-enrolment+jwt' })
        .setAudience(publicUrl)
        .setIssuedAt()
        .sign(privateKey);
      return { code, publicKey: publicJwk, proof, facts, ...(encryptionKey && { encryptionKey }) };
    },
    async enrol(code: string, facts?: object) {
      const body = JSON.stringify(await device.enrolment(code, facts));
      const headers = { 'content-type': 'application/json' };
      const reply = await answer(await fetch(`${url}/v1/devices`, { method: 'POST', headers, body }));
      if (reply.status === 201) id = (reply.body as { id: DeviceId }).id;
      return reply;
    },
    assertion(claims: object = {}, header: object = {}) {
      const seconds = Math.floor(Date.now() / 1000);
      return new SignJWT({ iss: id, sub: id, aud: publicUrl, jti: randomUUID(), exp: seconds + 60, ...claims })
        .setProtectedHeader({ alg: 'ES256', typ: 'client-authentication+jwt', ...header })
        .sign(privateKey);
    },
    async signIn(assertion?: string) {
      const reply = await answer(
        await fetch(`${url}/oauth2/token`, {
          method: 'POST',
          body: new URLSearchParams({
            grant_type: 'client_credentials',
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
            client_assertion: assertion ?? (await device.assertion()),
          }),
        }),
      );
      if (reply.status === 200) token = (reply.body as { access_token: string }).access_token;
      return reply;
    },
    async call(method: string, path: string, body?: unknown) {
      if (!token) await device.signIn();
      const headers = {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      };
      return answer(
        await fetch(url + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }),
      );
    },
  };
  return device;
}
