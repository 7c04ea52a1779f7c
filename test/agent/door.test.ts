import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAgent, type Action, type Agent } from '../../src/agent/index.ts';
import { newEngineer, type DoorCall, type Engineer } from './support/engineer.ts';
import { makeProof } from './support/signing-key.ts';
import { startTestBroker, type TestBroker } from './support/test-broker.ts';

let broker: TestBroker;
let agent: Agent;
let directory: string;
let engineer: Engineer;
/** What the action `usb.reset` is doing: it goes on until it is told to stop. */
let atWork = 0;

const work: Action = async (_args, { signal, stdout }) => {
  atWork += 1;
  await stdout('working\n');
  await sleep(60_000, undefined, { signal }).catch(() => undefined);
  atWork -= 1;
  return 0;
};
/** Bytes that the action `app.flood` has got rid of: it writes without end. */
let flooded = 0;
const flood: Action = async (_args, { signal, stdout }) => {
  while (!signal.aborted) {
    await stdout('x'.repeat(65_536));
    flooded += 65_536;
  }
  return 0;
};
/** An action that takes a while to let go. */
const slowToStop: Action = async (_args, { signal, stdout }) => {
  await stdout('working\n');
  await sleep(60_000, undefined, { signal }).catch(() => undefined);
  await sleep(300);
  return 0;
};
const actions = new Map<string, Action>([
  ['app.slow', slowToStop],
  ['app.flood', flood],
  [
    'device.inspect',
    async (args, { stdout, stderr }) => {
      await stdout(`${JSON.stringify(args)}\n`);
      await stderr('done\n');
      return 3;
    },
  ],
  ['usb.reset', work],
  ['app.restart', async () => Promise.reject(new Error('the app is on fire'))],
]);

before(async () => {
  broker = await startTestBroker();
  directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
  agent = await startAgent({
    brokerUrl: broker.url,
    stateDirectory: directory,
    enrolmentCode: broker.code,
    actions,
    facts: () => ({ serial: 'S-1' }),
    inUse: () => false,
  });
});
after(async () => {
  await agent.stop();
  await broker.close();
  await rm(directory, { recursive: true });
});
beforeEach(async () => {
  engineer = await newEngineer(broker, [
    'device.inspect',
    'usb.reset',
    'app.restart',
    'app.flood',
    'app.slow',
    'no.handler',
  ]);
  await list(engineer.listed());
});
afterEach(() => list());

/** Lists these grants and waits until the agent has heard of it: then it knows the one listed with them. */
async function list(...grants: TestBroker['grants']): Promise<void> {
  const last = await newEngineer(broker, ['device.inspect']);
  await broker.push([...grants, last.listed()]);
  const credential = await last.credential();
  const path = await last.openSoon(agent.doorUrl, credential);
  await last.call(agent.doorUrl, { method: 'DELETE', path, credential });
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what() && tries < 500; tries++) await sleep(10);
  assert.ok(what());
}

const call = (parts: DoorCall) => engineer.call(agent.doorUrl, parts);
const act = (path: string, scope: string, credential: string, more: Partial<DoorCall> = {}) =>
  call({ method: 'POST', path: `${path}/actions/${scope}`, credential, ...more });

/** Starts the action that does not end by itself; resolves once it is at work. */
async function startWork(path: string, credential: string, scope = 'usb.reset') {
  const begun = Promise.withResolvers<void>();
  const answer = act(path, scope, credential, { onText: () => begun.resolve() });
  await Promise.race([begun.promise, answer]);
  return { answer };
}

/** What the receipt that came with a credential says, as the device reports it. */
async function placeOf(credential: string) {
  const text = Buffer.from(await broker.ledger.header(credential), 'base64').toString();
  const [, receiptIndex] = /^index (\d+)$/m.exec(text)!;
  const [, size, root] = text.split('\n\n')[1]!.split('\n');
  const checkpoint = { size: Number(size), root: Buffer.from(root!, 'base64').toString('base64url') };
  return { receiptIndex: Number(receiptIndex), checkpoint };
}

describe('a door', () => {
  it('opens a session, does an action, and closes, all of it reported in order and signed', async () => {
    const credential = await engineer.credential();
    const opened = await call({ method: 'POST', path: '/sessions', credential });
    assert.equal(opened.status, 201);
    const { session, scopes, expiresAt, renewBefore } = opened.json as Record<string, string>;
    assert.match(session!, /^ses_/);
    assert.deepEqual(scopes, ['device.inspect', 'usb.reset', 'app.restart', 'app.flood', 'app.slow', 'no.handler']);
    assert.ok(Date.parse(renewBefore!) > Date.now() && Date.parse(renewBefore!) < Date.parse(expiresAt!));

    const path = `/sessions/${session}`;
    const { lines } = await act(path, 'device.inspect', credential, { body: { args: { lines: 3, deep: true } } });
    assert.deepEqual(
      lines.map(({ stream, data, ...rest }) =>
        stream ? [stream, Buffer.from(String(data), 'base64').toString()] : rest,
      ),
      [['stdout', '{"lines":3,"deep":true}\n'], ['stderr', 'done\n'], { exit: 3 }],
    );
    assert.equal((await call({ method: 'DELETE', path, credential })).status, 204);

    await broker.event('session.ended', engineer.grant);
    const { person, grant } = engineer;
    const [started, performed, ended] = broker.eventsOf(grant) as [
      object,
      Record<string, unknown>,
      Record<string, unknown>,
    ];
    assert.deepEqual(
      broker.eventsOf(grant).map(({ type }) => type),
      ['session.started', 'action.performed', 'session.ended'],
    );
    assert.partialDeepStrictEqual(started, { session, grant, person, scopes, ...(await placeOf(credential)) });
    assert.partialDeepStrictEqual(performed, { session, grant, scope: 'device.inspect', exit: 3, bytes: 29 });
    assert.match(String(performed['args']), /^[\w-]{43}$/);
    assert.partialDeepStrictEqual(ended, { session, grant, cause: 'closed' });
  });

  it('takes a scope with its colon escaped or not', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    assert.equal((await act(path, 'device%2Einspect', credential)).status, 200);
  });

  it('refuses what its credential does not allow, with the code and a challenge, and reports only whom it knows', async () => {
    const stranger = await newEngineer(broker, ['device.inspect']);
    const unlisted = await stranger.credential();
    const refused = await stranger.call(agent.doorUrl, { method: 'POST', path: '/sessions', credential: unlisted });
    assert.equal(refused.status, 403);
    assert.equal(refused.json['type'], 'urn:latchkey:refusal:grant-not-live');
    assert.equal(refused.headers['content-type'], 'application/problem+json');

    const none = await call({ method: 'POST', path: '/sessions' });
    assert.equal(none.status, 401);
    assert.equal(none.json['type'], 'urn:latchkey:refusal:no-credential');
    assert.match(String(none.headers['www-authenticate']), /^DPoP .*algs="ES256"/);

    const { code, person, grant } = await broker.event('session.refused', stranger.grant);
    assert.deepEqual([code, person, grant], ['grant-not-live', stranger.person, stranger.grant]);
    assert.equal(broker.eventsOf(stranger.grant).length, 1);
    assert.equal(broker.eventsOf(engineer.grant).length, 0);
    assert.ok(agent.refusals()['no-credential']! > 0);
  });

  it('does nothing for a scope outside the credential, and nothing it does not know', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const outside = await act(path, 'secret.read:local-admin', credential);
    assert.equal(outside.json['type'], 'urn:latchkey:refusal:scope-missing');
    assert.equal((await act(path, 'no.handler', credential)).status, 404);
  });

  it('hides a session from everyone but its own grant, person and key', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const other = await newEngineer(broker, ['device.inspect']);
    await list(engineer.listed(), other.listed());
    for (const [method, place] of [
      ['PUT', path],
      ['DELETE', path],
      ['POST', `${path}/actions/device.inspect`],
    ] as const) {
      const answer = await other.call(agent.doorUrl, { method, path: place, credential: await other.credential() });
      assert.equal(answer.status, 404, method);
    }
    const ownKey = await engineer.credential();
    const otherKey = await other.credential({ sub: engineer.person, grant: engineer.grant });
    const place = { method: 'DELETE', path };
    assert.equal((await other.call(agent.doorUrl, { ...place, credential: otherKey })).status, 404);
    assert.equal((await other.call(agent.doorUrl, { ...place, credential: ownKey })).status, 401);
    assert.equal((await act(path, 'device.inspect', credential)).status, 200);
  });

  it('verifies every call anew: a proof of one does not serve another, nor twice', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const two = await act(path, 'device.inspect', credential, { headers: { dpop: ['a.b.c', 'a.b.c'] } });
    assert.equal(two.json['type'], 'urn:latchkey:refusal:bad-proof');
    const again = await call({ method: 'DELETE', path, headers: { authorization: `Bearer ${credential}` } });
    assert.equal(again.json['type'], 'urn:latchkey:refusal:no-credential');
  });

  it('takes an action’s failure for exit code 1 and keeps its words to itself', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const { lines, text } = await act(path, 'app.restart', credential);
    assert.deepEqual(lines.at(-1), { exit: 1 });
    assert.ok(!text.includes(Buffer.from('on fire').toString('base64').slice(0, 6)));
  });

  it('runs one action in a session at a time', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const { answer } = await startWork(path, credential);
    assert.equal((await act(path, 'device.inspect', credential)).status, 409);
    await call({ method: 'DELETE', path, credential });
    assert.deepEqual((await answer).lines.at(-1), { ended: 'closed' });
  });

  it('refuses bodies that are too long, no JSON, of another type, or of another shape', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const bodies: readonly [unknown, number, Record<string, string>?][] = [
      ['x'.repeat(20_000), 413],
      ['{', 400],
      ['{}', 415, { 'content-type': 'text/plain' }],
      ['{}', 415, { 'content-encoding': 'gzip' }],
      ['[]', 400],
      ['{"args":{},"more":1}', 400],
      ['{"args":{"__proto__":1}}', 400],
      ['{"args":{"a":{"b":1}}}', 400],
      ['{"args":{"a b":1}}', 400],
    ];
    for (const [body, status, headers = {}] of bodies) {
      const answer = await act(path, 'device.inspect', credential, { body, headers });
      assert.equal(answer.status, status, String(body).slice(0, 40));
    }
    assert.equal((await act(path, 'device.inspect', credential)).status, 200);
  });

  it('gives one grant no more than eight sessions at once', async () => {
    const credential = await engineer.credential();
    for (let i = 0; i < 8; i++) await engineer.open(agent.doorUrl, credential);
    assert.equal((await call({ method: 'POST', path: '/sessions', credential })).status, 503);
    const other = await newEngineer(broker, ['device.inspect']);
    await list(engineer.listed(), other.listed());
    await other.open(agent.doorUrl, await other.credential());
  });

  it('has nothing elsewhere and no other methods', async () => {
    assert.equal((await call({ method: 'GET', path: '/' })).status, 404);
    const { status, headers } = await call({ method: 'GET', path: '/sessions' });
    assert.equal(status, 405);
    assert.equal(headers['allow'], 'POST');
  });
});

describe('a session ends', () => {
  it('with its grant, its action stopped and the connection closed with the reason', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const { answer } = await startWork(path, credential);
    await broker.push([]);
    assert.deepEqual((await answer).lines.at(-1), { ended: 'grant-not-live' });
    const ended = await broker.event('session.ended', engineer.grant);
    assert.equal(atWork, 0);
    assert.equal(ended['cause'], 'grant-not-live');
    assert.ok(Number(ended['lagMs']) < 1_000);
    const performed = await broker.event('action.performed', engineer.grant);
    assert.equal(performed['exit'], null);
  });

  it('only once its action has let go, though the client is told at once', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const { answer } = await startWork(path, credential, 'app.slow');
    await broker.push([]);
    assert.deepEqual((await answer).lines.at(-1), { ended: 'grant-not-live' });
    assert.equal(broker.eventsOf(engineer.grant).length, 1);
    const { lagMs } = await broker.event('session.ended', engineer.grant);
    assert.ok(Number(lagMs) >= 290, `${String(lagMs)} ms`);
  });

  it('at the millisecond its grant does, without a word from the broker', async () => {
    await list(engineer.listed());
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const { answer } = await startWork(path, credential);
    const expiresAt = new Date(Date.now() + 400).toISOString();
    await list(engineer.listed({ expiresAt }));
    assert.deepEqual((await answer).lines.at(-1), { ended: 'grant-not-live' });
    const late = Date.now() - Date.parse(expiresAt);
    assert.ok(late > -50 && late < 1_000, `${late} ms`);
  });

  it('with its credential unless it was renewed', async () => {
    const exp = Math.floor(Date.now() / 1_000) + 2;
    const credential = await engineer.credential({ exp });
    const [dies, lives] = [
      await engineer.open(agent.doorUrl, credential),
      await engineer.open(agent.doorUrl, credential),
    ];
    const { answer } = await startWork(dies, credential);
    const fresh = await engineer.credential();
    const early = await act(lives, 'device.inspect', fresh);
    assert.equal(early.status, 409, 'a credential counts for the session once it was renewed with it');
    const renewed = await call({ method: 'PUT', path: lives, credential: fresh });
    assert.equal(renewed.status, 200);
    assert.ok(Date.parse(String(renewed.json['expiresAt'])) > exp * 1_000);
    assert.deepEqual((await answer).lines.at(-1), { ended: 'expired' });
    assert.equal((await act(lives, 'device.inspect', fresh)).status, 200);
    assert.equal((await act(dies, 'device.inspect', fresh)).status, 404);
  });

  it('under a client that does not read, which holds up the action and not the end', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const url = new URL(`${agent.doorUrl}${path}/actions/app.flood`);
    const dpop = await makeProof(engineer.key, { method: 'POST', url: url.href, credential, now: Date.now() });
    const socket = connect(Number(url.port), url.hostname);
    const head = [
      `POST ${url.pathname} HTTP/1.1`,
      `host: ${url.host}`,
      `authorization: DPoP ${credential}`,
      `dpop: ${dpop}`,
    ];
    socket.pause();
    socket.write(`${head.join('\r\n')}\r\ncontent-length: 0\r\n\r\n`);
    await until(() => flooded > 0);
    await sleep(300);
    const before = flooded;
    await sleep(300);
    assert.equal(flooded, before, 'the action waits for its client');
    assert.ok(flooded < 32 * 1_048_576, `${flooded} bytes are on their way to nobody`);
    await broker.push([]);
    assert.equal((await broker.event('session.ended', engineer.grant))['cause'], 'grant-not-live');
    socket.destroy();
  });

  it('when its client goes away, as far as the action is concerned', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const controller = new AbortController();
    const url = `${agent.doorUrl}${path}/actions/usb.reset`;
    const dpop = await makeProof(engineer.key, { method: 'POST', url, credential, now: Date.now() });
    const headers = { authorization: `DPoP ${credential}`, dpop };
    const response = await fetch(url, { method: 'POST', headers, signal: controller.signal });
    await response.body!.getReader().read();
    assert.equal(atWork, 1);
    controller.abort();
    assert.equal((await broker.event('action.performed', engineer.grant))['exit'], null);
    assert.equal(atWork, 0);
    assert.equal((await act(path, 'device.inspect', credential)).status, 200);
  });

  it('with the agent', async () => {
    const state = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
    const options = { brokerUrl: broker.url, stateDirectory: state, enrolmentCode: broker.code, actions };
    const enrolled = [...broker.enrolled];
    const other = await startAgent({ ...options, facts: () => ({}), inUse: () => false });
    const credential = await engineer.credential();
    await engineer.open(other.doorUrl, credential);
    await other.stop();
    assert.equal((await broker.event('session.ended', engineer.grant))['cause'], 'agent-stopped');
    await assert.rejects(fetch(other.doorUrl));
    broker.enrolled.splice(0, broker.enrolled.length, ...enrolled);
    await rm(state, { recursive: true });
  });
});
