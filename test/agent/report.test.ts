import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { commitToArguments, type DeviceEvent } from '../../src/agent/device-events.ts';
import { enrol } from '../../src/agent/enrol.ts';
import { loadDeviceKey } from '../../src/agent/keys.ts';
import { openOutbox } from '../../src/agent/outbox.ts';
import { createReporter, type Reporter, type ReporterOptions } from '../../src/agent/report.ts';
import { createSignIn } from '../../src/agent/sign-in.ts';
import { newId, type EventId } from '../../src/domain/ids.ts';
import { eventually } from './program/support.ts';
import { sha256 } from './support/signing-key.ts';
import { startTestBroker, type TestBroker } from './support/test-broker.ts';

const path = 'POST /v1/agent/events';
const grant = newId('grant', Date.now());
const refused: DeviceEvent = {
  type: 'session.refused',
  code: 'scope-missing',
  grant,
  person: newId('person', Date.now()),
};

const session = newId('session', Date.now());
const ended: DeviceEvent = { type: 'session.ended', session, grant, cause: 'closed', lagMs: 0 };

let broker: TestBroker;
let directory: string;
let reporter: Reporter;
let options: ReporterOptions;
beforeEach(async () => {
  broker = await startTestBroker();
  directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
  const where = { brokerUrl: broker.url, stateDirectory: directory, code: broker.code, facts: {} };
  const { device, issuer } = await enrol(where);
  const key = await loadDeviceKey(directory);
  const signIn = createSignIn({ issuer, device, key });
  options = { issuer, device, key, signIn, outbox: openOutbox(null), now: () => Date.now(), capacity: 200 };
  reporter = createReporter(options);
});
afterEach(async () => {
  await reporter.stop(0);
  await broker.close();
  await rm(directory, { recursive: true });
});

describe('a reporter', () => {
  it('sends every event once and in order, also when the broker is away for a while', async () => {
    broker.failing.set(path, 503);
    const ids = await Promise.all(Array.from({ length: 120 }, () => reporter.report(refused)));
    setTimeout(() => broker.failing.clear(), 300);
    await reporter.stop(10_000);
    assert.deepEqual(
      broker.events.map(({ jti }) => jti),
      ids,
    );
  });

  it('repeats an event under the same id when the answer was lost', async () => {
    let isLost = true;
    broker.answers.set(path, (response) => {
      if (isLost) response.destroy();
      isLost = false;
      broker.answers.clear();
    });
    const id = await reporter.report(refused);
    await reporter.stop(5_000);
    assert.deepEqual(
      broker.events.map(({ jti }) => jti),
      [id],
    );
    assert.equal(broker.calls.get(path), 2);
  });

  it('states what the contract asks of a device’s word, and nothing else', async () => {
    await reporter.report(refused);
    const event = await broker.event('session.refused', grant);
    assert.deepEqual(Object.keys(event).sort(), ['at', 'aud', 'code', 'grant', 'iat', 'iss', 'jti', 'person', 'type']);
    assert.match(String(event['at']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(event.jti!, /^evt_/);
  });

  it('lets nothing that the broker will never take hold up what comes after', async () => {
    broker.answers.set(path, (response) => {
      response.writeHead(400).end(JSON.stringify({ type: 'urn:latchkey:problem:invalid-request' }));
      broker.answers.clear();
    });
    const complaints: string[] = [];
    const log = (message: string) => complaints.push(message);
    const strict = createReporter({ ...options, outbox: openOutbox(null), log });
    await strict.report(refused);
    await eventually(() => complaints.length > 0);
    const next = await strict.report(refused);
    await strict.stop(5_000);
    assert.deepEqual(complaints, ['the broker refuses an event for good']);
    assert.deepEqual(
      broker.events.map(({ jti }) => jti),
      [next],
    );
  });

  it('leaves out of many only the one that the broker will not have', async () => {
    broker.failing.set(path, 503);
    const ids = await Promise.all([1, 2, 3, 4].map(() => reporter.report(refused)));
    broker.unwanted.add(ids[1]!);
    broker.failing.clear();
    await reporter.stop(5_000);
    assert.deepEqual(
      broker.events.map(({ jti }) => jti),
      [ids[0], ids[2], ids[3]],
    );
  });

  it('takes nothing but 204 for the broker’s word, and nothing of what only stands before it for a refusal', async () => {
    const ids: string[] = [];
    for (const status of [200, 202, 302, 400, 403, 404, 413]) {
      const asked = broker.calls.get(path) ?? 0;
      broker.answers.set(path, (response) => void response.writeHead(status).end('{"status":"ok"}'));
      ids.push(await reporter.report(refused));
      reporter.hurry();
      await eventually(() => (broker.calls.get(path) ?? 0) > asked);
    }
    assert.deepEqual(broker.events, []);
    broker.answers.clear();
    await reporter.stop(20_000);
    assert.deepEqual(
      broker.events.map(({ jti }) => jti),
      ids,
    );
  });

  it('tells of what an agent that died had promised, however long ago, in the order in which it ended', async () => {
    const outbox = openOutbox(null);
    const monthMs = 30 * 86_400_000;
    const event: DeviceEvent = {
      type: 'action.performed',
      session,
      grant,
      scope: 'device.inspect',
      exit: null,
      durationMs: 0,
      bytes: 0,
      args: null,
    };
    const [one, two, three] = [0, 1, 2].map(() => newId('event', Date.now())) as [EventId, EventId, EventId];
    outbox.write([{ owe: { id: one, at: Date.now() - monthMs, event: { ...ended, cause: 'agent-died' } } }]);
    outbox.write([{ owe: { id: two, at: Date.now() - monthMs, event } }]);
    const other = newId('session', Date.now());
    outbox.write([{ owe: { id: three, at: Date.now() - 5_000, event: { ...ended, session: other } } }]);
    const next = createReporter({ ...options, outbox });
    await next.recover(Date.now() - 3_000, (id) => id === other);
    assert.deepEqual(
      outbox.owed().map(({ id }) => id),
      [three],
      'what is still on stays promised',
    );
    await next.stop(5_000);
    assert.deepEqual(
      broker.events.map(({ jti, cause }) => [jti, cause]),
      [
        [two, undefined],
        [one, 'agent-died'],
      ],
    );
    assert.equal(broker.events[0]!['durationMs'], 2_147_483_647, 'as long as an event can say');
    const lag = Number(broker.events[1]!['lagMs']);
    assert.ok(lag >= 3_000 && lag < 60_000, String(lag));
  });

  it('has no room for more once too much waits, or is promised', async () => {
    broker.failing.set(path, 503);
    await Promise.all(Array.from({ length: 199 }, () => reporter.report(refused)));
    assert.ok(reporter.hasRoom());
    const promised = await reporter.promise(ended);
    assert.ok(!reporter.hasRoom());
    await assert.rejects(reporter.promise(ended), { code: 'unavailable' });
    await promised.keep(ended);
    assert.ok(!reporter.hasRoom(), 'what was promised waits now');
    broker.failing.clear();
    await eventually(() => reporter.hasRoom());
  });

  it('counts the bytes that wait too', async () => {
    broker.failing.set(path, 503);
    const small = createReporter({ ...options, outbox: openOutbox(null), capacityBytes: 1_000 });
    await small.report(refused);
    assert.ok(small.hasRoom());
    await small.report(refused);
    assert.ok(!small.hasRoom());
    await small.stop(0);
  });
});

describe('the arguments of an action', () => {
  it('are committed to with a salt of their own, over their canonical form', () => {
    const [one, two] = [commitToArguments({ b: 1, a: 'x' })!, commitToArguments({ a: 'x', b: 1 })!];
    assert.notEqual(one.commitment, two.commitment);
    const salted = `${Buffer.from(two.salt, 'base64url').toString('latin1')}{"a":"x","b":1}`;
    assert.equal(two.commitment, sha256(Buffer.from(salted, 'latin1')));
    assert.equal(Buffer.from(two.salt, 'base64url').length, 16);
    assert.notEqual(two.commitment, sha256('{"a":"x","b":1}'));
  });

  it('are no commitment when there are none', () => {
    assert.equal(commitToArguments({}), null);
  });
});
