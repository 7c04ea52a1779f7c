import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import {
  removeAgentDirectories,
  signedIn,
  spawnLatchkey,
  startAgentProcess,
  writeScript,
  type AgentProcess,
} from '../../support/agent-process.ts';
import { newTestBroker, people, type TestBroker } from '../../support/broker.ts';
import { eventually, isAlive, pidIn } from './support.ts';

let broker: TestBroker;
let agent: AgentProcess;
let ada: Record<string, string>;
let script: string;
before(async () => {
  broker = await newTestBroker();
  ada = await signedIn(broker, people.ada);
  script = await writeScript('stays', 'echo $$ > "$0.pid"; while :; do sleep 1; done');
});
beforeEach(async () => {
  const action = { description: 'stays', dataClass: 'System Metadata', command: [script], timeLimit: 'PT10M' };
  agent = await startAgentProcess(broker, { actions: { 'device.inspect': action } });
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
  await removeAgentDirectories();
});

const file = () => join(dirname(agent.stateDirectory), 'agent.json');
const unenrol = (...more: string[]) => spawnLatchkey(['agent', 'unenrol', '--config', file(), ...more], {}).ended;
const about = async (grant: string, type: string) =>
  (await broker.events(type)).filter((event) => event.grant === grant);

async function working() {
  const grant = await broker.grant('ada', 'diagnose', { devices: [agent.device] });
  const { ended } = spawnLatchkey(['run', agent.device, 'device.inspect'], ada);
  const pid = await pidIn(`${script}.pid`);
  return { grant, ended, pid };
}

test('a device that an operator takes out ends what runs on it at once, and asks no more', async () => {
  const { grant, ended, pid } = await working();
  const began = Date.now();
  assert.equal((await broker.call('olu', 'DELETE', `/v1/devices/${agent.device}`)).status, 204);
  await eventually(async () => !(await isAlive(pid)), 20_000);
  assert.ok(Date.now() - began < 20_000, 'long before its list ran out');
  const { code, stderr } = await ended;
  assert.equal(code, 123, stderr);
  assert.equal(await agent.exited, 2, 'it ends by itself, so that nothing starts it again');
  assert.deepEqual(await about(grant.id, 'session.ended'), [], 'its word counts no more');
  const again = await spawnLatchkey(['agent', '--config', file()], {}).ended;
  assert.equal(again.code, 2, again.stdout);
  assert.match(again.stderr, /no longer enrolled/);
  const cleared = await unenrol();
  assert.equal(cleared.code, 0, cleared.stderr);
  assert.deepEqual(await readdir(agent.stateDirectory), ['lock', 'pid']);
});

test('an agent takes its own device out, once what it had left is ended and told, and keeps nothing', async () => {
  const { grant, ended, pid } = await working();
  const inUse = await unenrol('--erase');
  assert.equal(inUse.code, 1);
  assert.match(inUse.stderr, /in use by process/);
  await agent.kill();
  await ended;
  const done = await unenrol('--erase');
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /no longer enrolled/);
  assert.ok(!(await isAlive(pid)));
  assert.equal((await about(grant.id, 'session.ended')).length, 1);
  const { body } = await broker.call('olu', 'GET', `/v1/devices/${agent.device}`);
  assert.deepEqual([body.state, body.facts], ['unenrolled', {}]);
  const [fact] = (await broker.events('device.unenrolled')).filter(({ device }) => device === agent.device);
  assert.equal(fact.erased, true);
  assert.deepEqual(await readdir(agent.stateDirectory), ['lock', 'pid']);
  const nothing = await unenrol();
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /not enrolled/);
});
