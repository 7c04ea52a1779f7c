import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../config.ts';
import type { Rotation } from '../credentials/rotation.ts';
import { startBroker, type ServeLog } from '../serve.ts';
import { developmentProviderConfig, startIdentityProvider, type RunningIdentityProvider } from './identity-provider.ts';
import { startSimulatedRoom, type SimulatedRoom } from './simulated-room.ts';
import { lockState } from './state-lock.ts';

export interface WorldOptions {
  /** Where all state lives; made when missing. */
  readonly directory: string;
  readonly log: ServeLog;
  /** Told what is being done, in a few words. */
  readonly progress?: (words: string) => void;
  /** The ports to take at the first start; by default 7400 and 7401; free ones where those are taken, or 0. */
  readonly ports?: { readonly broker: number; readonly issuer: number };
  /** The address of a vault for the broker's secrets, whose token is in the environment; by default a directory. */
  readonly keyVault?: string;
  /** When keys are rotated, in times that no configuration file may say. */
  readonly keys?: Partial<Rotation>;
}

/** The whole product on one machine: PostgreSQL, an identity provider, a broker, and rooms with agents. */
export interface World {
  readonly url: string;
  readonly issuer: RunningIdentityProvider;
  readonly rooms: readonly (SimulatedRoom & { readonly name: string; readonly tenant: string })[];
  /** What was not as before, such as a port that was taken; each a sentence. */
  readonly remarks: readonly string[];
  stop(): Promise<void>;
}

interface Ports {
  readonly broker: number;
  readonly issuer: number;
}

const sampleRooms = [
  { name: 'boardroom', tenant: 'contoso', serial: 'MTR-0042', make: 'Crestron', model: 'Flex UC-B30' },
  { name: 'studio', tenant: 'contoso', serial: 'MTR-0043', make: 'Logitech', model: 'Rally Bar' },
  { name: 'atrium', tenant: 'fabrikam', serial: 'MTR-1007', make: 'Poly', model: 'Studio X70' },
] as const;
const tenants = { contoso: 'Contoso', fabrikam: 'Fabrikam' } as const;

/**
 * Starts everything, in the order in which one needs the other; what was started is stopped again when something fails.
 * @throws StateInUse when another process has the directory.
 */
export async function startWorld(options: WorldOptions): Promise<World> {
  const { directory, log, progress = () => {} } = options;
  const lock = lockState(directory);
  const undo: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step();
    lock.release();
  };
  try {
    const remarks: string[] = [];
    const ports = await choosePorts(directory, options.ports ?? { broker: 7_400, issuer: 7_401 }, remarks);
    progress('identity provider');
    const issuer = await startIdentityProvider({ port: ports.issuer, stateDirectory: join(directory, 'issuer') });
    undo.push(() => issuer.stop());

    progress('PostgreSQL and broker');
    const config = configFor(directory, ports, issuer.issuer, options.keyVault);
    await writeWhole(join(directory, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
    const { keys, ...parsed } = parseConfig(config);
    const broker = await startBroker({ ...parsed, keys: { ...keys, ...options.keys } }, log);
    undo.push(() => broker.stop());

    const rooms: World['rooms'][number][] = [];
    const operator = createOperator(config.publicUrl, issuer);
    for (const room of sampleRooms) {
      progress(`room ${room.name}`);
      // A room that enrolled with a broker at another address is another device to this one.
      const stateDirectory = join(directory, 'rooms', `${room.name}-${ports.broker}`);
      const known = existsSync(join(stateDirectory, 'device.json'));
      const enrolmentCode = known ? undefined : await operator.enrolmentCode(room.tenant);
      const running = await startSimulatedRoom({
        brokerUrl: config.publicUrl,
        stateDirectory,
        name: room.name,
        serial: room.serial,
        make: room.make,
        model: room.model,
        ...(enrolmentCode !== undefined && { enrolmentCode }),
        log: (message, details) => log.info({ room: room.name, ...details }, message),
      });
      undo.push(() => running.stop());
      rooms.push({ ...running, name: room.name, tenant: room.tenant });
    }
    if (remarks.length > 0) await operator.unenrolOthers(rooms.map((room) => room.deviceId));
    return { url: config.publicUrl, issuer, rooms, remarks, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function configFor(directory: string, ports: Ports, issuer: string, keyVault: string | undefined) {
  return {
    publicUrl: `http://127.0.0.1:${ports.broker}`,
    listen: { host: '127.0.0.1', port: ports.broker },
    region: 'EU',
    database: { embedded: join(directory, 'postgres') },
    identityProviders: [developmentProviderConfig(issuer)],
    policies: fileURLToPath(new URL('../../policies', import.meta.url)),
    secrets: keyVault === undefined ? { directory: join(directory, 'secrets') } : { keyVault },
    ledger: { origin: 'latchkey.localhost/eu' },
  };
}

/** Does what an operator does by hand, through the API, signed in like anyone else. */
function createOperator(url: string, issuer: RunningIdentityProvider) {
  const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const authorization = `Bearer ${await issuer.tokenFor('olu')}`;
    const json = body && { 'content-type': 'application/json' };
    const response = await fetch(url + path, {
      method,
      headers: { authorization, ...json },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return (text === '' ? null : JSON.parse(text)) as T;
  };
  return {
    async enrolmentCode(slug: keyof typeof tenants): Promise<string> {
      const tenant = await call<{ id: string }>('PUT', `/v1/tenants/${slug}`, { name: tenants[slug], region: 'EU' });
      const { code } = await call<{ code: string }>('POST', '/v1/enrolment-codes', { tenant: tenant.id });
      return code;
    },
    /** Takes out what enrolled with this broker while it had another address, and so cannot reach it any more. */
    async unenrolOthers(known: readonly string[]): Promise<void> {
      const { items } = await call<{ items: { id: string; state: string }[] }>('GET', '/v1/devices?limit=200');
      for (const { id, state } of items) {
        if (state === 'enrolled' && !known.includes(id)) await call('DELETE', `/v1/devices/${id}`);
      }
    },
  };
}

/** The ports of the last start, or others where those are taken; remembered for the next one. */
async function choosePorts(directory: string, wanted: Ports, remarks: string[]): Promise<Ports> {
  const file = join(directory, 'ports.json');
  const last = existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as Ports) : null;
  const choose = async (name: keyof Ports, what: string): Promise<number> => {
    const port = last?.[name] ?? wanted[name];
    if (port !== 0 && (await isFree(port))) return port;
    const other = await freePort();
    if (port === 0) return other;
    remarks.push(`port ${port} is taken, so the ${what} is on ${other} this time`);
    return other;
  };
  const ports = { broker: await choose('broker', 'broker'), issuer: await choose('issuer', 'identity provider') };
  await mkdir(directory, { recursive: true });
  await writeWhole(file, `${JSON.stringify(ports)}\n`);
  return ports;
}

async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.draft`, text, { mode: 0o600 });
  await rename(`${path}.draft`, path);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
      .once('error', () => resolve(false))
      .listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
