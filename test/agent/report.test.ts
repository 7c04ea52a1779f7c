import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { commitToArguments, type DeviceEvent } from '../../src/agent/device-events.ts';
import { enrol } from '../../src/agent/enrol.ts';
import { loadDeviceKey } from '../../src/agent/keys.ts';
import { createReporter, type Reporter, type ReporterOptions } from '../../src/agent/report.ts';
import { createSignIn } from '../../src/agent/sign-in.ts';
import { newId } from '../../src/domain/ids.ts';
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
  options = { issuer, device, key, signIn, now: () => Date.now(), capacity: 200 };
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
    const ids = Array.from({ length: 120 }, () => reporter.report(refused));
    setTimeout(() => broker.failing.clear(), 300);
    await reporter.stop(5_000);
    assert.deepEqual(
      broker.events.map(({ jti }) => jti),
      ids,
    );
  });

  it('repeats an event under the same id when the answer was lost', async () => {
    let isLost = true;
    const id = reporter.report(refused);
    broker.answers.set(path, (response) => {
      if (isLost) response.destroy();
      isLost = false;
      broker.answers.clear();
    });
    await reporter.stop(5_000);
    assert.deepEqual(
      broker.events.map(({ jti }) => jti),
      [id],
    );
    assert.equal(broker.calls.get(path), 2);
  });

  it('states what the contract asks of a device’s word, and nothing else', async () => {
    reporter.report(refused);
    const event = await broker.event('session.refused', grant);
    assert.deepEqual(Object.keys(event).sort(), ['at', 'aud', 'code', 'grant', 'iat', 'iss', 'jti', 'person', 'type']);
    assert.match(String(event['at']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(event.jti!, /^evt_/);
  });

  it('lets nothing that the broker will never take hold up what comes after', async () => {
    broker.failing.set(path, 400);
    const complaints: string[] = [];
    const strict = createReporter({ ...options, log: (message) => complaints.push(message) });
    strict.report(refused);
    for (let tries = 0; complaints.length === 0 && tries < 200; tries++) await new Promise((go) => setTimeout(go, 10));
    broker.failing.clear();
    const next = strict.report(refused);
    await strict.stop(5_000);
    assert.deepEqual(complaints, ['the broker refuses an event']);
    assert.deepEqual(
      broker.events.map(({ jti }) => jti),
      [next],
    );
  });

  it('leaves out of many only the one that the broker will not have', async () => {
    broker.failing.set(path, 503);
    const ids = [1, 2, 3, 4].map(() => reporter.report(refused));
    broker.unwanted.add(ids[1]!);
    broker.failing.clear();
    await reporter.stop(5_000);
    assert.deepEqual(
      broker.events.map(({ jti }) => jti),
      [ids[0], ids[2], ids[3]],
    );
  });

  it('has no room for more once too much waits', () => {
    broker.failing.set(path, 503);
    for (let i = 0; i < 199; i++) reporter.report(refused);
    assert.ok(reporter.hasRoom());
    reporter.report(refused);
    assert.ok(!reporter.hasRoom());
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
