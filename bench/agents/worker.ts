import dns from 'node:dns';
import { constants, setPriority } from 'node:os';
import {
  createBrokerKeys,
  createLiveGrants,
  createReporter,
  createSessions,
  createSignIn,
  createVerifier,
  openDoor,
  openOutbox,
  watchLiveGrants,
  type Action,
  type LiveGrants,
} from '../../src/agent/index.ts';
import { deviceKeyFrom } from '../../src/agent/keys.ts';
import type { DeviceId } from '../../src/domain/ids.ts';
import type { Fleet, FleetDevice, Look, Order } from './messages.ts';

/**
 * A process with many agents in it, each made of the agent library's own parts, with a key, a token, a stream and a list
 * of its own. Only what they have seen is kept in memory: thousands of them on one disk would measure the disk.
 */
const agents: LiveGrants[] = [];
const open = new Set<DeviceId>();
const doors: [DeviceId, string][] = [];
const losses: Record<string, number> = {};
let addresses: readonly string[] = [];
let [opened, mostShut] = [0, 0];

/** The brokers have one name. Which of them is meant by it is decided at each connection, as a balancer would. */
const lookup = (_name: string, _options: object, done: (error: null, found: dns.LookupAddress[]) => void): void => {
  const shuffled = addresses.toSorted(() => Math.random() - 0.5);
  done(
    null,
    shuffled.map((address) => ({ address, family: 4 })),
  );
};
Object.assign(dns, { lookup });

const shut = (): number => agents.filter((liveGrants) => liveGrants.current() === null).length;
setInterval(() => (mostShut = Math.max(mostShut, shut())), 250);

process.on('message', (order: Order) => {
  if (order.order !== 'look') ({ addresses } = order);
  if (order.order === 'start') void start(order.fleet).then(answer);
  else answer();
  if (order.order === 'look' && order.forget) mostShut = 0;
});
process.once('disconnect', () => process.exit(0));

function answer(): void {
  const look: Look = { open: open.size, shut: shut(), mostShut, opened, doors, losses };
  process.send!(look);
}

/** All at once, as after an outage; resolves when every door is open, whether or not a list has come. */
async function start(fleet: Fleet): Promise<void> {
  // Each would be on a machine of its own: what a crowd of them does takes nothing from the broker, nor from those measured.
  if (fleet.isCrowd) setPriority(constants.priority.PRIORITY_LOW);
  for (const device of fleet.devices) await startAgent(fleet, device);
}

async function startAgent(fleet: Fleet, { id: device, jwk, hasDoor }: FleetDevice): Promise<void> {
  const { issuer, tenant, ledgerKey } = fleet;
  const key = await deviceKeyFrom(jwk);
  const keys = createBrokerKeys({ jwksUri: `${issuer}/.well-known/jwks.json` });
  const liveGrants = createLiveGrants({ issuer, device, keys, seen: null, remember: async () => undefined });
  const now = () => liveGrants.now() ?? Date.now();
  const signIn = createSignIn({ issuer, device, key, now });
  agents.push(liveGrants);
  if (hasDoor) {
    const reporter = createReporter({ issuer, device, key, signIn, now, outbox: openOutbox(null) });
    const sessions = createSessions({ liveGrants, reporter });
    const verifier = createVerifier({ issuer, device, tenant, keys, liveGrants, ledgerKey });
    const actions = new Map([['device.inspect', untilCutOff]]);
    const { url } = await openDoor({ host: '127.0.0.1', port: 0, verifier, sessions, reporter, actions });
    doors.push([device, url]);
  }
  const log = (message: string, { why }: Readonly<Record<string, unknown>> = {}): void => {
    if (typeof why === 'string') losses[why] = (losses[why] ?? 0) + 1;
    if (message.endsWith('is lost')) open.delete(device);
    if (!message.endsWith('is open')) return;
    open.add(device);
    opened += 1;
  };
  watchLiveGrants({ issuer, signIn, liveGrants, log });
}

/** An action that goes on until its session ends. */
const untilCutOff: Action = async (_args, { stdout, signal }) => {
  await stdout('begun\n');
  await new Promise<void>((ended) => signal.addEventListener('abort', () => ended(), { once: true }));
  return 0;
};
