import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createVerifier, startAgent, type Agent } from '../../src/agent/index.ts';
import { newId } from '../../src/domain/ids.ts';
import { newDoorstep, refusedWith } from '../agent/support/doorstep.ts';
import { newEngineer, type Engineer } from '../agent/support/engineer.ts';
import { makeProof } from '../agent/support/signing-key.ts';
import { startTestBroker, type TestBroker } from '../agent/support/test-broker.ts';

/** Someone on the way, who sees and sends whatever they like, but has no key. */
let broker: TestBroker;
let agent: Agent;
let engineer: Engineer;
let directory: string;
before(async () => {
  broker = await startTestBroker();
  directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
  engineer = await newEngineer(broker, ['device.inspect']);
  broker.grants = [engineer.listed()];
  agent = await startAgent({
    brokerUrl: broker.url,
    stateDirectory: directory,
    enrolmentCode: broker.code,
    actions: new Map([['device.inspect', async () => 0]]),
    facts: () => ({}),
    inUse: () => false,
  });
});
after(async () => {
  await agent.stop();
  await broker.close();
  await rm(directory, { recursive: true });
});

/** The very call with which an engineer opens a session. */
async function capturedStart(): Promise<Record<string, string>> {
  const credential = await engineer.credential();
  const call = { method: 'POST', url: `${agent.doorUrl}/sessions`, credential, now: Date.now() };
  return {
    authorization: `DPoP ${credential}`,
    dpop: await makeProof(engineer.key, call),
    'latchkey-receipt': await broker.ledger.header(credential),
  };
}

async function send(headers: Record<string, string>, method = 'POST', path = '/sessions') {
  const response = await fetch(agent.doorUrl + path, { method, headers });
  const { type, session } = (await response.json()) as { type?: string; session?: string };
  return { status: response.status, code: type?.split(':').at(-1), session };
}

describe('whoever sees how a session is opened', () => {
  it('opens none by saying it again, later or in the same moment', async () => {
    const headers = await capturedStart();
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(headers)));
    assert.equal(answers.filter(({ status }) => status === 201).length, 1);
    const others = answers.filter(({ status }) => status !== 201).map(({ code }) => code);
    assert.deepEqual(new Set(others), new Set(['replayed-proof']));
    assert.equal((await send(headers)).code, 'replayed-proof');
  });

  it('renews, uses and closes nothing with it', async () => {
    const headers = await capturedStart();
    const { session } = await send(headers);
    assert.equal((await send(headers, 'PUT', `/sessions/${session}`)).code, 'bad-proof');
    assert.equal((await send(headers, 'POST', `/sessions/${session}/actions/device.inspect`)).code, 'bad-proof');
    assert.equal((await send(headers, 'DELETE', `/sessions/${session}`)).code, 'bad-proof');
  });

  it('opens none with the parts of two of them put together', async () => {
    const [one, other] = [await capturedStart(), await capturedStart()];
    assert.equal((await send({ ...one, dpop: other['dpop']! })).code, 'bad-proof');
    assert.equal((await send({ ...one, 'latchkey-receipt': other['latchkey-receipt']! })).code, 'bad-receipt');
    assert.equal((await send({ ...one, authorization: other['authorization']! })).code, 'bad-proof');
  });

  it('opens none at another door, whatever address that one is said to have', async () => {
    const [here, there] = [await newDoorstep(), await newDoorstep()];
    const call = await here.present(await here.credential());
    await refusedWith('bad-signature', there.verifier.verifyCredential(call));
    // Of the same broker's, and with all that this one lives by, so that only the device is another.
    const { url: issuer, tenant, ledger } = here.broker;
    const about = { issuer, tenant, keys: here.keys, liveGrants: here.liveGrants, ledgerKey: ledger.vkey };
    const other = createVerifier({ ...about, device: newId('device', here.clock.now()) });
    await refusedWith('wrong-device', other.verifyCredential(call));
    await here.verifier.verifyCredential(call);
    for (const doorstep of [here, there]) await doorstep.close();
  });
});

describe('whoever delays what the broker says', () => {
  it('gets no proof refused that is made once the agent is there', async () => {
    const slow = await startTestBroker();
    const state = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
    const ada = await newEngineer(slow, ['device.inspect']);
    slow.grants = [ada.listed()];
    // The list takes more than a second on its way, so the agent's clock runs ahead of the engineer's.
    const statement = slow.statement.bind(slow);
    slow.statement = async (...parts) => {
      await sleep(1_500);
      return statement(...parts);
    };
    const about = { facts: () => ({}), inUse: () => false, actions: new Map() };
    const late = await startAgent({ brokerUrl: slow.url, stateDirectory: state, enrolmentCode: slow.code, ...about });
    try {
      assert.match(await ada.open(late.doorUrl, await ada.credential()), /ses_/);
    } finally {
      await late.stop();
      await slow.close();
      await rm(state, { recursive: true });
    }
  });
});

describe('whoever answers in the broker’s place', () => {
  let lair: Server;
  let visits: string[];
  before(async () => {
    visits = [];
    lair = createServer((request, response) => {
      visits.push(`${request.url} ${request.headers.authorization ?? ''}`);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
    await new Promise<void>((listening) => lair.listen(0, '127.0.0.1', listening));
  });
  after(() => lair.close());

  const away = (path: string, status: number) => {
    const location = `http://127.0.0.1:${(lair.address() as AddressInfo).port}${path.split(' ')[1]}`;
    broker.answers.set(path, (response) => void response.writeHead(status, { location }).end());
  };
  const calls = [
    'GET /v1/agent/stream',
    'GET /v1/agent/live-grants',
    'POST /oauth2/token',
    'PUT /v1/agent/state',
    'POST /v1/agent/events',
  ];

  it('sends the agent nowhere else, with none of its calls, and learns no token of its', async () => {
    for (const [index, path] of calls.entries()) away(path, [301, 302, 303, 307, 308][index]!);
    const before = new Map(calls.map((path) => [path, broker.calls.get(path) ?? 0]));
    const asked = (path: string) => (broker.calls.get(path) ?? 0) > before.get(path)!;
    const untilAsked = async (...paths: string[]) => {
      for (let tries = 0; tries < 500 && !paths.every(asked); tries++) await sleep(10);
      assert.deepEqual(
        paths.filter((path) => !asked(path)),
        [],
        'never called',
      );
    };
    broker.cut();
    void agent.announce();
    assert.equal((await send(await capturedStart())).status, 201);
    await untilAsked('GET /v1/agent/stream', 'PUT /v1/agent/state', 'POST /v1/agent/events');
    // Where there is no stream, the list is asked for by itself; and with a token that is refused, for another.
    broker.answers.delete('GET /v1/agent/stream');
    broker.failing.set('GET /v1/agent/stream', 401);
    await untilAsked('POST /oauth2/token');
    broker.answers.delete('POST /oauth2/token');
    broker.failing.set('GET /v1/agent/stream', 404);
    await untilAsked('GET /v1/agent/live-grants');
    assert.deepEqual(visits, []);
    broker.answers.clear();
    broker.failing.clear();
  });

  it('takes the agent to no keys but the broker’s, and the door shuts rather than believe others', async () => {
    const at = await newDoorstep();
    const location = `http://127.0.0.1:${(lair.address() as AddressInfo).port}/.well-known/jwks.json`;
    const credential = await at.credential();
    await at.verify(credential);
    at.broker.answers.set('GET /.well-known/jwks.json', (response) => void response.writeHead(302, { location }).end());
    at.clock.pass(59_000);
    await at.connect();
    at.clock.pass(2_000);
    await refusedWith('stale-live-grants', at.verify(credential));
    assert.deepEqual(visits, []);
    await at.close();
  });
});
