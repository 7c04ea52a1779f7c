import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BadArguments, startAgent, type Action, type Agent, type DeclaredAction } from '../../src/agent/index.ts';
import { newEngineer, type Engineer } from './support/engineer.ts';
import { startTestBroker, type TestBroker } from './support/test-broker.ts';

const described: DeclaredAction = {
  about: {
    description: 'tells its argument',
    dataClass: 'System Metadata',
    timeLimitSeconds: 60,
    parameters: [{ name: 'word', type: 'text', description: 'any', required: true, pattern: '[a-z]+' }],
  },
  async prepare({ word }) {
    if (word === undefined) throw new BadArguments([{ pointer: '/word', message: 'is needed' }]);
    return async ({ scope, session, stdout }) => {
      await stdout(`${String(word)} ${scope} ${session.grant}`);
      return 0;
    };
  },
};
const undescribed: Action = async () => 0;

let broker: TestBroker;
let agent: Agent;
let directory: string;
let engineer: Engineer;
let stranger: Engineer;
let credential: string;
let path: string;

before(async () => {
  broker = await startTestBroker();
  directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
  agent = await startAgent({
    brokerUrl: broker.url,
    stateDirectory: directory,
    enrolmentCode: broker.code,
    actions: new Map<string, Action | DeclaredAction>([
      ['device.inspect', undescribed],
      ['usb.reset', described],
      ['device.reboot', described],
    ]),
    facts: () => ({}),
    inUse: () => false,
  });
  engineer = await newEngineer(broker, ['usb.reset', 'no.handler', 'device.inspect']);
  stranger = await newEngineer(broker, ['usb.reset']);
  await broker.push([engineer.listed(), stranger.listed()]);
  credential = await engineer.credential();
  path = await engineer.openSoon(agent.doorUrl, credential);
});
after(async () => {
  await agent.stop();
  await broker.close();
  await rm(directory, { recursive: true });
});

const act = (body?: unknown) =>
  engineer.call(agent.doorUrl, { method: 'POST', path: `${path}/actions/usb.reset`, credential, body });

describe('what a door tells of its actions', () => {
  it('is what the session allows and the device can do, described where it describes itself', async () => {
    const answer = await engineer.call(agent.doorUrl, { method: 'GET', path: `${path}/actions`, credential });
    assert.equal(answer.status, 200);
    const nothing = { description: null, dataClass: null, timeLimitSeconds: null, parameters: null };
    assert.deepEqual(answer.json['actions'], [
      { scope: 'usb.reset', ...described.about },
      { scope: 'device.inspect', ...nothing },
    ]);
  });

  it('is told to the holder of the session alone, with a fresh proof', async () => {
    const theirs = await stranger.credential();
    const asked = await stranger.call(agent.doorUrl, { method: 'GET', path: `${path}/actions`, credential: theirs });
    assert.equal(asked.status, 404);
    const none = await engineer.call(agent.doorUrl, { method: 'GET', path: `${path}/actions` });
    assert.deepEqual([none.status, none.json['type']], [401, 'urn:latchkey:refusal:no-credential']);
    const post = await engineer.call(agent.doorUrl, { method: 'POST', path: `${path}/actions`, credential });
    assert.deepEqual([post.status, post.headers['allow']], [405, 'GET']);
  });
});

describe('an action that judges its arguments', () => {
  it('begins nothing with those that it does not take, and says which', async () => {
    const before = broker.eventsOf(engineer.grant).length;
    const { status, json } = await act({ args: {} });
    assert.equal(status, 400);
    assert.equal(json['type'], 'urn:latchkey:problem:invalid-request');
    assert.deepEqual(json['errors'], [{ pointer: '/args/word', message: 'is needed' }]);
    assert.equal(broker.eventsOf(engineer.grant).length, before);
  });

  it('knows what it is done for', async () => {
    const { lines } = await act({ args: { word: 'hello' } });
    assert.equal(Buffer.from(String(lines[0]!['data']), 'base64').toString(), `hello usb.reset ${engineer.grant}`);
    assert.deepEqual(lines.at(-1), { exit: 0 });
  });
});
