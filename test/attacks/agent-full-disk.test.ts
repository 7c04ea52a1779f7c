import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startAgent, type Agent } from '../../src/agent/index.ts';
import { newEngineer, type Engineer } from '../agent/support/engineer.ts';
import { eventually } from '../agent/program/support.ts';
import { startTestBroker, type TestBroker } from '../agent/support/test-broker.ts';
import { hasSmallDisks, newSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const events = 'POST /v1/agent/events';

describe('a full disk under an agent', { skip: !hasSmallDisks && 'needs root, to mount a disk' }, () => {
  let broker: TestBroker;
  let disk: SmallDisk;
  let agent: Agent;
  let engineer: Engineer;
  let done = 0;
  const start = () =>
    startAgent({
      brokerUrl: broker.url,
      stateDirectory: join(disk.path, 'state'),
      enrolmentCode: broker.code,
      actions: new Map([['device.inspect', async () => ((done += 1), 0)]]),
      facts: () => ({}),
      inUse: () => false,
    });
  before(async () => {
    broker = await startTestBroker();
    disk = await newSmallDisk(1_000_000);
    engineer = await newEngineer(broker, ['device.inspect']);
    broker.grants = [engineer.listed()];
    agent = await start();
  });
  after(async () => {
    await agent.stop();
    await broker.close();
    await disk.remove();
  });
  const about = (type: string) => broker.events.filter((event) => event['type'] === type);

  it('shuts the door to what would have to be reported, tells what had begun to the end, and opens again', async () => {
    const credential = await engineer.credential();
    const path = await engineer.open(agent.doorUrl, credential);
    const act = () =>
      engineer.call(agent.doorUrl, { method: 'POST', path: `${path}/actions/device.inspect`, credential });
    const tryToOpen = async () =>
      engineer.call(agent.doorUrl, { method: 'POST', path: '/sessions', credential: await engineer.credential() });
    broker.failing.set(events, 503);
    disk.fill();
    // What room the outbox has on the disk already, it uses.
    let answer = await act();
    for (let tries = 0; answer.status === 200 && tries < 500; tries++) answer = await act();
    assert.equal(answer.status, 503);
    assert.equal(answer.json['type'], 'urn:latchkey:problem:unavailable');
    assert.match(String(answer.json['detail']), /room/);
    const before = done;
    assert.equal((await act()).status, 503);
    assert.equal((await tryToOpen()).status, 503);
    assert.equal(done, before, 'and nothing of it was begun');

    await engineer.call(agent.doorUrl, { method: 'DELETE', path, credential });
    broker.failing.clear();
    await eventually(() => about('session.ended').length === 1);
    assert.equal(about('session.started').length, 1);
    assert.equal(about('action.performed').length, done);
    await eventually(async () => {
      disk.free();
      return (await tryToOpen()).status === 201;
    });

    await agent.stop();
    agent = await start();
    await eventually(() => about('session.ended').length === 2);
    assert.equal(about('session.started').length, 2);
    const ids = broker.events.map(({ jti }) => jti);
    assert.equal(new Set(ids).size, ids.length);
  });
});
