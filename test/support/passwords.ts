import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { compactDecrypt, decodeJwt, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { sign, tell } from '../broker/support/door.ts';
import type { Reply, TestBroker, Who, CallOptions } from './broker.ts';
import { newTestDevice, type TestDevice } from './device.ts';
import { newEngineerKey, type EngineerKey } from './engineer.ts';

/** A key to which something is encrypted. */
export interface OneTimeKey {
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export async function newOneTimeKey(): Promise<OneTimeKey> {
  const { privateKey, publicKey } = await generateKeyPair('ECDH-ES', { crv: 'P-256', extractable: true });
  const { kty, crv, x, y } = await exportJWK(publicKey);
  return { privateKey, publicJwk: { kty, crv, x, y } as JWK };
}

/** A device of contoso that has a password: as the API sees it, without an account behind. */
export interface PasswordDevice {
  readonly device: TestDevice;
  readonly encryption: OneTimeKey;
  /** Asks for the password that is wanted. */
  ask(have?: number): ReturnType<TestDevice['call']>;
  /** Asks, opens what comes, and says what it is told. */
  take(have?: number): Promise<{ readonly generation: number; readonly password: string; readonly claims: Claims }>;
  /** Says, signed, that it has the password of a generation. */
  confirm(generation: number): Promise<void>;
  /** Which generations the list of live grants says are wanted and confirmed. */
  listed(): Promise<{ readonly wanted: number; readonly confirmed: number } | null>;
}

type Claims = Readonly<Record<string, unknown>>;

export async function newPasswordDevice(broker: TestBroker, tenant = broker.contoso.id): Promise<PasswordDevice> {
  const encryption = await newOneTimeKey();
  const device = await newTestDevice(broker.config.publicUrl, broker.brokers[0]!.url, encryption.publicJwk);
  const { body } = await broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant });
  const enrolled = await device.enrol(body.code);
  assert.equal(enrolled.status, 201, JSON.stringify(enrolled.body));
  const ask: PasswordDevice['ask'] = (have = 0) => device.call('POST', '/v1/agent/secrets/local-admin', { have });
  return {
    device,
    encryption,
    ask,
    async take(have) {
      const { status, body, text } = await ask(have);
      assert.equal(status, 200, text);
      const { plaintext } = await compactDecrypt(String(body['secret']), encryption.privateKey);
      const claims = decodeJwt(Buffer.from(plaintext).toString('utf8'));
      assert.equal(claims['generation'], body['generation']);
      return { generation: claims['generation'] as number, password: String(claims['password']), claims };
    },
    async confirm(generation) {
      await tell(device, await sign(broker, device, { type: 'secret.rotated', secret: 'local-admin', generation }));
    },
    async listed() {
      const { text } = await device.call('GET', '/v1/agent/live-grants');
      const secrets = decodeJwt(text)['secrets'] as Record<string, { wanted: number; confirmed: number }> | undefined;
      return secrets?.['local-admin'] ?? null;
    },
  };
}

/** A device that has set its first password. */
export async function newSetDevice(broker: TestBroker): Promise<PasswordDevice & { readonly first: string }> {
  const device = await newPasswordDevice(broker);
  const { generation, password } = await device.take();
  await device.confirm(generation);
  return { ...device, first: password };
}

export interface Fetching extends CallOptions {
  readonly key?: EngineerKey;
  readonly oneTime?: OneTimeKey;
  readonly device?: string;
  readonly claims?: object;
  readonly header?: object;
  /** The whole proof, when it is not to be a good fresh one. */
  readonly proof?: string;
}

interface Grant {
  readonly id: string;
  readonly devices: readonly string[];
}

/** What a holder asks for a password with. */
export async function secretProof(broker: TestBroker, grant: Grant, fetching: Fetching): Promise<string> {
  const { key = await newEngineerKey(), oneTime = await newOneTimeKey(), claims, header } = fetching;
  const device = fetching.device ?? grant.devices[0];
  return new SignJWT({ jti: randomUUID(), grant: grant.id, device, key: oneTime.publicJwk, ...claims })
    .setProtectedHeader({ alg: 'ES256', typ: 'latchkey-secret-request+jwt', jwk: key.publicJwk, ...header })
    .setAudience(broker.config.publicUrl)
    .setIssuedAt()
    .sign(key.privateKey);
}

export async function fetchSecret(broker: TestBroker, who: Who, grant: Grant, fetching: Fetching = {}): Promise<Reply> {
  const { key: _, oneTime: __, device = grant.devices[0], claims: ___, header: ____, proof, ...options } = fetching;
  const body = { device, proof: proof ?? (await secretProof(broker, grant, fetching)) };
  return broker.call(who, 'POST', `/v1/grants/${grant.id}/secrets`, body, options);
}

/** What was released, newest first. */
export async function openReleased(
  reply: Reply,
  oneTime: OneTimeKey,
): Promise<readonly { readonly generation: number; readonly password: string }[]> {
  assert.equal(reply.status, 201, JSON.stringify(reply.body));
  const { plaintext } = await compactDecrypt(reply.body.secret, oneTime.privateKey);
  return JSON.parse(Buffer.from(plaintext).toString('utf8')).passwords;
}

/** Makes time pass for what is recorded of releases and rotations of a device. */
export async function later(broker: TestBroker, device: PasswordDevice, interval: string): Promise<void> {
  const { id } = device.device;
  await broker.sql.query('UPDATE secret_releases SET released_at = released_at - $2::interval WHERE device = $1', [
    id,
    interval,
  ]);
  await broker.sql.query('UPDATE device_secrets SET wanted_at = wanted_at - $2::interval WHERE device = $1', [
    id,
    interval,
  ]);
}
