import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { decodeJwt, SignJWT } from 'jose';
import type { DeviceEvent } from '../../../src/domain/device-event.ts';
import {
  newId,
  type CredentialId,
  type EventId,
  type GrantId,
  type PersonId,
  type SessionId,
} from '../../../src/domain/ids.ts';
import { parseProofText } from '../../../src/ledger/proof-text.ts';
import type { TestBroker } from '../../support/broker.ts';
import type { TestDevice } from '../../support/device.ts';
import type { EngineerKey } from '../../support/engineer.ts';
import { mint } from './scenario.ts';

type Claims = DeviceEvent & { jti?: EventId };

/** Signs what a device states. */
export async function sign(broker: TestBroker, device: TestDevice, { jti, ...claims }: Claims): Promise<string> {
  return new SignJWT({ at: new Date().toISOString(), ...claims })
    .setProtectedHeader({ alg: 'ES256', typ: 'latchkey-event+jwt' })
    .setIssuer(device.id)
    .setAudience(broker.config.publicUrl)
    .setJti(jti ?? newId('event', Date.now()))
    .setIssuedAt()
    .sign(device.privateKey);
}

/** A session at a device, of which nothing has been told yet. */
export interface DoorSession {
  readonly id: SessionId;
  readonly grant: GrantId;
  readonly started: string;
  readonly ended: string;
}

/** Opens a session with a real credential, and signs its beginning and its end. Nothing is sent. */
export async function openSession(
  broker: TestBroker,
  device: TestDevice,
  grant: { readonly id: string; readonly devices: readonly string[] },
  key?: EngineerKey,
): Promise<DoorSession> {
  const { status, body } = await mint(broker, 'ada', grant, { device: device.id, ...(key && { key }) });
  assert.equal(status, 201, JSON.stringify(body));
  const { sub, jti, scope } = decodeJwt(body.credential);
  const { index: receiptIndex, checkpoint } = parseProofText(body.receipt);
  const [, size, root] = checkpoint.split('\n');
  const session = newId('session', Date.now());
  const about = { session, grant: grant.id as GrantId };
  const started: Claims = {
    type: 'session.started',
    ...about,
    person: sub as PersonId,
    credential: createHash('sha256').update(body.credential).digest('base64url'),
    credentialId: jti as CredentialId,
    scopes: String(scope).split(' '),
    receiptIndex,
    checkpoint: { size: Number(size), root: Buffer.from(root!, 'base64').toString('base64url') },
  };
  const ended: Claims = { type: 'session.ended', ...about, cause: 'grant-not-live', lagMs: 12 };
  return {
    id: session,
    grant: about.grant,
    started: await sign(broker, device, started),
    ended: await sign(broker, device, ended),
  };
}

/** Posts statements and expects them to be taken. */
export async function tell(device: TestDevice, ...events: string[]): Promise<void> {
  const { status, text } = await device.call('POST', '/v1/agent/events', { events });
  assert.equal(status, 204, text);
}
