import { createHash } from 'node:crypto';
import { decodeJwt } from 'jose';
import { callBroker } from '../../src/agent/broker-calls.ts';
import { createSignIn } from '../../src/agent/index.ts';
import { deviceKeyFrom } from '../../src/agent/keys.ts';
import type { DeviceEvent } from '../../src/domain/device-event.ts';
import { newId, type CredentialId } from '../../src/domain/ids.ts';
import { parseProofText } from '../../src/ledger/proof-text.ts';
import { newEngineerKey } from '../../test/support/engineer.ts';
import type { FleetDevice } from '../agents/messages.ts';
import { openConnection } from '../lifecycle/connection.ts';
import type { Granted, Lifecycle, Steps } from '../lifecycle/steps.ts';
import type { Caller } from '../lifecycle/world.ts';

/** How often somebody does something in their session: with this many, a life is ten events. */
const actions = 3;

/**
 * A whole life through the API: asked for, approved, used in a session that its device tells of, and given back.
 * @returns its grant.
 */
export async function liveOnce(
  url: string,
  steps: Steps,
  { engineer, lead, device }: { readonly engineer: Caller; readonly lead: Caller; readonly device: FleetDevice },
): Promise<Granted> {
  const lifecycle: Lifecycle = { engineer, lead, device: device.id, key: await newEngineerKey() };
  const connection = await openConnection(url);
  try {
    const grant = await steps.decide(connection, lifecycle, await steps.ask(connection, lifecycle));
    const { credential, receipt } = await steps.mint(connection, lifecycle, grant);
    await tell(url, device, sessionEvents(grant, credential, receipt));
    const authorization = `Bearer ${engineer.token}`;
    const { status } = await connection.call('POST', `/v1/grants/${grant.id}/release`, { authorization }, {});
    if (status !== 200) throw new Error(`the grant was not taken back: ${status}`);
    return grant;
  } finally {
    connection.close();
  }
}

function sessionEvents(grant: Granted, credential: string, receipt: string): DeviceEvent[] {
  const { jti } = decodeJwt(credential);
  const { index: receiptIndex, checkpoint } = parseProofText(receipt);
  const [, size, root] = checkpoint.split('\n');
  const about = { session: newId('session', Date.now()), grant: grant.id };
  const action: DeviceEvent = {
    ...about,
    type: 'action.performed',
    scope: 'device.inspect',
    exit: 0,
    durationMs: 812,
    bytes: 2_048,
    args: null,
  };
  return [
    {
      ...about,
      type: 'session.started',
      person: grant.person.id,
      credential: createHash('sha256').update(credential).digest('base64url'),
      credentialId: jti as CredentialId,
      scopes: grant.scopes,
      receiptIndex,
      checkpoint: { size: Number(size), root: Buffer.from(root!, 'base64').toString('base64url') },
    },
    ...Array.from({ length: actions }, () => action),
    { ...about, type: 'session.ended', cause: 'closed', lagMs: 2 },
  ];
}

/** Tells the broker of them, as the device's agent would. */
async function tell(issuer: string, { id, jwk }: FleetDevice, events: readonly DeviceEvent[]): Promise<void> {
  const key = await deviceKeyFrom(jwk);
  const now = Date.now();
  const statements = events.map((event) => {
    const about = { iss: id, aud: issuer, jti: newId('event', now), iat: Math.floor(now / 1_000) };
    return key.sign('latchkey-event+jwt', { ...about, ...event, at: new Date(now).toISOString() });
  });
  const bearer = await createSignIn({ issuer, device: id, key }).token();
  const json = { events: await Promise.all(statements) };
  await callBroker(`${issuer}/v1/agent/events`, { method: 'POST', json, bearer, success: 204 });
}
