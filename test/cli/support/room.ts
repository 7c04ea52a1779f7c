import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAgent, type Action, type Agent } from '../../../src/agent/index.ts';
import type { Device, Grant } from '../../../src/cli/answers.ts';
import { verifyDpopProof } from '../../../src/domain/dpop.ts';
import { newId } from '../../../src/domain/ids.ts';
import { signToken } from '../../agent/support/signing-key.ts';
import { startTestBroker, type TestBroker } from '../../agent/support/test-broker.ts';
import {
  problem,
  startScriptedServer,
  type ReceivedCall,
  type ScriptedAnswer,
  type ScriptedServer,
} from './scripted-server.ts';
import { ada } from './samples.ts';

/** A room with a real agent at its door, and the API of a broker that has granted access to it. */
export interface Room {
  readonly api: ScriptedServer;
  readonly broker: TestBroker;
  readonly agent: Agent;
  readonly device: Device;
  /** The grant as the API tells it; a test may change it. */
  grant: Grant;
  /** Seconds that a credential lasts. */
  credentialSeconds: number;
  /** Tells the agent which grants are live: the room's own, or none. */
  list(isLive: boolean): Promise<void>;
  stop(): Promise<void>;
}

const inspect: Action = async (args, { stdout, stderr }) => {
  await stdout(`${JSON.stringify(args)}\n`);
  await stderr('done\n');
  return 3;
};
const paintTheTerminal: Action = async (_args, { stdout }) => {
  await stdout(Buffer.from([0x1b, 0x5b, 0x32, 0x4a, 0xc3])); // ends in the middle of a letter
  await stdout(Buffer.from([0xa5, 0x0a]));
  return 0;
};
const work: Action = async (_args, { signal, stdout }) => {
  await stdout('working\n');
  await sleep(60_000, undefined, { signal }).catch(() => undefined);
  return 0;
};
const pause: Action = async (args, { signal }) => {
  await sleep(Number(args['seconds']) * 1000, undefined, { signal }).catch(() => undefined);
  return 0;
};

const actions = new Map<string, Action>([
  ['device.inspect', inspect],
  ['logs.collect:system', paintTheTerminal],
  ['usb.reset', work],
  ['app.restart', pause],
]);

export async function openRoom(): Promise<Room> {
  const [broker, api] = [await startTestBroker(), await startScriptedServer()];
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-room-'));
  const agent = await startAgent({
    brokerUrl: broker.url,
    stateDirectory: directory,
    enrolmentCode: broker.code,
    actions,
    facts: () => ({ serial: 'SN-1' }),
    inUse: () => false,
  });
  const device: Device = {
    id: agent.device,
    tenant: agent.tenant,
    name: 'Oslo 3',
    state: 'enrolled',
    facts: { serial: 'SN-1' },
    door: { url: agent.doorUrl, certificateSha256: null },
    inUse: false,
    lastSeenAt: null,
  };
  const room: Room = {
    api,
    broker,
    agent,
    device,
    grant: newGrant(device),
    credentialSeconds: 300,
    async list(isLive) {
      const { id, person, scopes, startsAt, expiresAt } = room.grant;
      await broker.push(isLive ? [{ id, person: person.id, scopes, startsAt, expiresAt }] : []);
      await sleep(30);
    },
    async stop() {
      await agent.stop();
      await Promise.all([broker.close(), api.stop()]);
      await rm(directory, { recursive: true });
    },
  };
  api.on('GET /v1/devices', () => ({ body: { items: [device], next: null } }));
  api.on(`GET /v1/devices/${device.id}`, () => ({ body: device }));
  api.on('GET /v1/grants', () => ({ body: { items: [room.grant], next: null } }));
  offer(room);
  return room;
}

/** Puts a fresh grant into the room, so that one test's endings are not the next one's. */
export async function freshGrant(room: Room, changes: Partial<Grant> = {}): Promise<void> {
  room.grant = newGrant(room.device, changes);
  room.credentialSeconds = 300;
  offer(room);
  await room.list(true);
}

function offer(room: Room): void {
  const path = `/v1/grants/${room.grant.id}`;
  room.api.on(`GET ${path}`, () => ({ body: room.grant }));
  room.api.on(`POST ${path}/credentials`, (call) => mint(room, `${room.api.url}${path}/credentials`, call));
}

function newGrant(device: Device, changes: Partial<Grant> = {}): Grant {
  return {
    id: newId('grant', Date.now()),
    request: newId('request', Date.now()),
    state: 'active',
    person: ada,
    tenant: String(device.tenant),
    profile: 'diagnose',
    devices: [device.id],
    scopes: [...actions.keys()],
    startsAt: new Date(Date.now() - 1000).toISOString(),
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    endedAt: null,
    endedBy: null,
    endReason: null,
    review: null,
    ...changes,
  };
}

async function mint(room: Room, url: string, { headers }: ReceivedCall): Promise<ScriptedAnswer> {
  const { broker, grant } = room;
  const verdict = verifyDpopProof({ proof: headers['dpop'], method: 'POST', url, now: Date.now() });
  if (!verdict.ok) return problem(400, 'invalid-dpop-proof', verdict.reason);
  const iat = Math.floor(Date.now() / 1000);
  const exp = Math.min(iat + room.credentialSeconds, Math.floor(Date.parse(grant.expiresAt) / 1000));
  const credential = await signToken(
    broker.credentialKey,
    { typ: 'at+jwt', kid: broker.credentialKey.kid },
    {
      iss: broker.url,
      sub: grant.person.id,
      aud: `urn:latchkey:device:${room.device.id}`,
      client_id: 'latchkey',
      grant: grant.id,
      tenant: room.device.tenant,
      jti: newId('credential', Date.now()),
      iat,
      nbf: iat,
      exp,
      scope: grant.scopes.join(' '),
      cnf: { jkt: verdict.jkt },
    },
  );
  const expiresAt = new Date(exp * 1000).toISOString();
  const receipt = Buffer.from(await broker.ledger.header(credential), 'base64').toString();
  return { status: 201, body: { credential, tokenType: 'DPoP', expiresAt, receipt } };
}
