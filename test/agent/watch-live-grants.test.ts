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

describe('watching the live grants', () => {
  it('learns of a change within moments', async () => {
    await start();
    assert.ok(isLive());
    await broker.push([]);
    await until(() => !isLive());
    await broker.push([engineer.listed()]);
    await until(isLive);
    assert.equal(broker.calls.get(stream), 1);
  });

  it('takes the time from the list it asked for, not from those that follow', async () => {
    await start();
    await sleep(600);
    await broker.push([]);
    await until(() => !isLive());
    const ahead = liveGrants.now()! - Date.now();
    assert.ok(ahead >= -5 && ahead < 400, `${ahead} ms`);
  });

  it('connects again when the stream is cut, and has missed nothing', async () => {
    await start();
    broker.cut();
    await broker.push([]);
    await until(() => !isLive() && broker.calls.get(stream)! >= 2);
  });

  it('asks for the list alone when there is no stream', async () => {
    broker.failing.set(stream, 404);
    await start();
    assert.ok(isLive());
    await broker.push([]);
    await until(() => !isLive());
    assert.ok(broker.calls.get(once)! >= 2);
  });

  it('signs in again when its token is refused', async () => {
    await start();
    broker.failing.set(stream, 401);
    broker.failing.set(once, 401);
    broker.cut();
    await until(() => broker.calls.get('POST /oauth2/token')! >= 2);
    broker.failing.clear();
    await broker.push([]);
    await until(() => !isLive());
  });

  it('waits for a broker that is not there, and does not hammer it', async () => {
    for (const path of [stream, once]) broker.failing.set(path, 503);
    const ready = start();
    await sleep(1_000);
    assert.ok(broker.calls.get(stream)! <= 8, `${broker.calls.get(stream)} tries in a second`);
    broker.failing.clear();
    await ready;
    assert.ok(isLive());
  });

  it('leaves no connection, timer or listener behind, however often it had to come back', async () => {
    await start();
    const count = () => process.getActiveResourcesInfo().length;
    const reconnect = async () => {
      const before = broker.calls.get(stream)!;
      broker.cut();
      await until(() => broker.calls.get(stream)! > before);
      await sleep(20);
    };
    await reconnect();
    const before = count();
    for (let times = 0; times < 8; times++) await reconnect();
    assert.ok(count() <= before + 2, `${count()} instead of ${before}`);
  });

  it('keeps to what it had when the stream says what cannot be believed, and asks anew', async () => {
    await start();
    broker.answers.set(stream, (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('event: live-grants\ndata: not.a.statement\n\n');
    });
    broker.failing.set(once, 503);
    broker.cut();
    await until(() => broker.calls.get(stream)! >= 3);
    assert.ok(isLive());
    broker.answers.clear();
    await broker.push([]);
    await until(() => !isLive());
  });

  it('does not swallow a stream without end', async () => {
    await start();
    broker.failing.set(once, 503);
    broker.answers.set(stream, (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const fill = () => {
        while (!response.destroyed && response.write('data: '.padEnd(65_536, 'x')));
      };
      response.on('drain', fill);
      fill();
    });
    broker.cut();
    await until(() => broker.calls.get(stream)! >= 3);
  });

  it('says so when it is stopped before the first list came', async () => {
    for (const path of [stream, once]) broker.failing.set(path, 503);
    const ready = start();
    await watch.stop();
    await assert.rejects(ready, { name: 'BrokerError' });
  });
});
