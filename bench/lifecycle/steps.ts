import { randomUUID } from 'node:crypto';
import {
  createBrokerKeys,
  createVerifier,
  type BrokerKeys,
  type LiveGrant,
  type Verifier,
} from '../../src/agent/index.ts';
import { findLive, type LiveGrants } from '../../src/agent/live-grants.ts';
import type { DeviceId, GrantId } from '../../src/domain/ids.ts';
import { newEngineerKey, type EngineerKey } from '../../test/support/engineer.ts';
import type { Connection } from './connection.ts';
import type { Caller, World } from './world.ts';

/** One lifecycle under way: who works on what, with the key that the credential will be bound to. */
export interface Lifecycle {
  readonly engineer: Caller;
  readonly lead: Caller;
  readonly device: DeviceId;
  readonly key: EngineerKey;
}

/** The steps of a lifecycle, each as the command line and the agent take it. Any other answer than yes throws. */
export interface Steps {
  /** @returns the request's id. */
  ask(connection: Connection, of: Lifecycle): Promise<string>;
  /** Approves as a lead. @returns the grant. */
  decide(connection: Connection, of: Lifecycle, request: string): Promise<Granted>;
  mint(connection: Connection, of: Lifecycle, grant: Granted): Promise<Minted>;
  /** The agent's whole verification, at the door of the device. */
  verify(of: Lifecycle, grant: Granted, minted: Minted): Promise<void>;
}

/** A credential and the proof that it is in the ledger. */
export interface Minted {
  readonly credential: string;
  readonly receipt: string;
}

/** What an answer says of the grant. */
export interface Granted {
  readonly id: GrantId;
  readonly person: { readonly id: Caller['id'] };
  readonly scopes: readonly string[];
  readonly startsAt: string;
  readonly expiresAt: string;
}

const door = 'https://127.0.0.1:8443/sessions';

/** The `kid`s of a broker's credential keys. */
export async function readKeyIds(publicUrl: string): Promise<string[]> {
  const jwks = (await (await fetch(`${publicUrl}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] };
  return jwks.keys.map(({ kid }) => kid);
}

/** @param keyIds the `kid`s of the broker's credential keys, as a list of live grants would name them. */
export function createSteps(publicUrl: string, world: World, keyIds: readonly string[]): Steps {
  const keys = createBrokerKeys({ jwksUri: `${publicUrl}/.well-known/jwks.json` });
  const doors = new Map<DeviceId, Door>();
  const doorOf = (device: DeviceId): Door => {
    let found = doors.get(device);
    if (!found) doors.set(device, (found = newDoor(publicUrl, world, keys, keyIds, device)));
    return found;
  };
  return {
    async ask(connection, { engineer, device }) {
      const body = { profile: 'remediate', devices: [device], duration: 'PT30M', reason: 'panel frozen' };
      const asked = await post(connection, engineer, '/v1/requests', body, 201);
      return asked.id as string;
    },
    async decide(connection, { lead }, request) {
      const path = `/v1/requests/${request}/decisions`;
      const decided = await post(connection, lead, path, { verdict: 'approve', comment: 'go ahead' }, 200);
      return decided.grant as Granted;
    },
    async mint(connection, { engineer, device, key }, grant) {
      const path = `/v1/grants/${grant.id}/credentials`;
      const dpop = await key.proof('POST', publicUrl + path);
      const minted = await post(connection, engineer, path, { device }, 201, { dpop });
      return { credential: minted.credential as string, receipt: minted.receipt as string };
    },
    async verify({ device, key }, grant, { credential, receipt }) {
      const { verifier, live } = doorOf(device);
      live.set(grant.id, liveGrantOf(grant));
      await verifier.verifyCredential({
        method: 'POST',
        url: door,
        authorization: [`DPoP ${credential}`],
        proof: [await key.proof('POST', door, { token: credential })],
        receipt: [Buffer.from(receipt).toString('base64')],
        scope: 'device.inspect',
      });
      live.delete(grant.id);
    },
  };
}

/** Runs the whole of one. */
export async function runLifecycle(steps: Steps, connection: Connection, of: Lifecycle): Promise<void> {
  const request = await steps.ask(connection, of);
  const grant = await steps.decide(connection, of, request);
  const minted = await steps.mint(connection, of, grant);
  await steps.verify(of, grant, minted);
}

const engineerKeys: Promise<EngineerKey>[] = [];
const keptKeys = 200;

/** Takes somebody, a lead and a device at random. An engineer keeps their key. */
export async function anyLifecycle(world: World): Promise<Lifecycle> {
  const [engineer, lead, device] = [pick(world.engineers), pick(world.leads), pick(world.devices)];
  const key = await (engineerKeys[world.engineers.indexOf(engineer) % keptKeys] ??= newEngineerKey());
  return { engineer, lead, device, key };
}

export function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)]!;
}

async function post(
  connection: Connection,
  caller: Caller,
  path: string,
  body: object,
  status: number,
  more: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${caller.token}`, 'idempotency-key': randomUUID(), ...more };
  const reply = await connection.call('POST', path, headers, body);
  if (reply.status !== status) throw new Error(`${path} answered ${reply.status}: ${JSON.stringify(reply.body)}`);
  return reply.body as Record<string, unknown>;
}

interface Door {
  readonly verifier: Verifier;
  readonly live: Map<GrantId, LiveGrant>;
}

/**
 * A device's verifier. The list that it lives by is filled from the broker's answers: bringing lists to devices is
 * measured on its own.
 */
function newDoor(issuer: string, world: World, keys: BrokerKeys, keyIds: readonly string[], device: DeviceId): Door {
  const live = new Map<GrantId, LiveGrant>();
  const startedAt = Date.now() - 60_000;
  const list = {
    version: 1,
    iat: startedAt,
    exp: Infinity,
    keys: new Set(keyIds),
    newestLedgerKey: null,
    grants: live,
    localAdmin: null,
  };
  const liveGrants: LiveGrants = {
    accept: async () => {},
    now: Date.now,
    startedAt: () => startedAt,
    current: () => list,
    live: (grant, person, scopes) => findLive(list, { grant, person, scopes, now: Date.now() }),
    onChange: () => () => false,
  };
  return {
    verifier: createVerifier({ issuer, device, tenant: world.tenant, keys, liveGrants, ledgerKey: world.ledgerKey }),
    live,
  };
}

function liveGrantOf({ id, person, scopes, startsAt, expiresAt }: Granted): LiveGrant {
  return { id, person: person.id, scopes, startsAt: Date.parse(startsAt), expiresAt: Date.parse(expiresAt) };
}
