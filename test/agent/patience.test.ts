import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { enrol } from '../../src/agent/enrol.ts';
import { createBrokerKeys } from '../../src/agent/jwks.ts';
import { loadDeviceKey } from '../../src/agent/keys.ts';
import { createLiveGrants, type LiveGrants } from '../../src/agent/live-grants.ts';
import { createSignIn, type SignIn } from '../../src/agent/sign-in.ts';
import { watchLiveGrants, type Watch } from '../../src/agent/watch-live-grants.ts';
import { newEngineer, type Engineer } from './support/engineer.ts';
import { startTestBroker, type TestBroker } from './support/test-broker.ts';

const [stream, once] = ['GET /v1/agent/stream', 'GET /v1/agent/live-grants'];

let broker: TestBroker;
let directory: string;
let engineer: Engineer;
let liveGrants: LiveGrants;
let signIn: SignIn;
let watch: Watch;

beforeEach(async () => {
  broker = await startTestBroker();
  directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
  engineer = await newEngineer(broker, ['device.inspect']);
  broker.grants = [engineer.listed()];
  const where = { brokerUrl: broker.url, stateDirectory: directory, code: broker.code, facts: {} };
  const { device, issuer, jwksUri } = await enrol(where);
  signIn = createSignIn({ issuer, device, key: await loadDeviceKey(directory) });
  const keys = createBrokerKeys({ jwksUri });
  liveGrants = createLiveGrants({ issuer, device, keys, seen: null, remember: async () => undefined });
});
afterEach(async () => {
  await watch.stop();
  await broker.close();
  await rm(directory, { recursive: true });
});

const start = () => {
  watch = watchLiveGrants({ issuer: broker.url, signIn, liveGrants });
  return watch.ready;
};
const isLive = () => liveGrants.live(engineer.grant, engineer.person, ['device.inspect']) !== null;
async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries++) {
    assert.ok(tries < 2_000, 'it did not come about in twenty seconds');
    await sleep(10);
  }
}

describe('a broker that is slow or says so', () => {
  it('comes back when the broker says, not before', async () => {
    await start();
    const tries: number[] = [];
    broker.answers.set(stream, (response) => {
      tries.push(performance.now());
      response.writeHead(503, { 'retry-after': '2' }).end('{}');
    });
    broker.cut();
    await until(() => tries.length >= 2);
    assert.ok(tries[1]! - tries[0]! >= 2_000, `${tries[1]! - tries[0]!} ms`);
    broker.answers.clear();
    await broker.push([]);
    await until(() => !isLive());
    assert.equal(broker.calls.get('POST /oauth2/token'), 1, 'its token is still good');
  });

  it('gives up a stream on which nothing comes, and asks for the list alone', { timeout: 40_000 }, async () => {
    broker.answers.set(stream, (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': a proxy that keeps the rest to itself\n\n');
    });
    await start();
    assert.ok(isLive());
    assert.equal(broker.calls.get(once), 1);
  });
});
