import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { markName } from '../../src/agent/program/processes.ts';
import { eventually, isAlive, pidIn } from '../agent/program/support.ts';
import {
  removeAgentDirectories,
  signedIn,
  spawnLatchkey,
  startAgentProcess,
  writeScript,
  type AgentProcess,
} from '../support/agent-process.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';

let broker: TestBroker;
let agent: AgentProcess;
let ada: Record<string, string>;
let [leader, daemon]: string[] = [];

before(async () => {
  broker = await newTestBroker();
  const lines = [
    "trap '' TERM HUP PIPE",
    `setsid sh -c 'trap "" TERM HUP; echo $$ > "$0.daemon"; while :; do sleep 1; done' "$0" >/dev/null 2>&1 &`,
    'echo $$ > "$0.leader"',
    'while :; do sleep 1; done',
  ];
  const script = await writeScript('stubborn', lines.join('\n'));
  [leader, daemon] = [`${script}.leader`, `${script}.daemon`];
  const action = { description: 'stays', dataClass: 'System Metadata', command: [script], timeLimit: 'PT10M' };
  agent = await startAgentProcess(broker, { actions: { 'device.inspect': action } });
  ada = await signedIn(broker, people.ada);
});
after(async () => {
  await agent.stop();
  await broker.checkLedger();
  await broker.stop();
  await removeAgentDirectories();
});

test('what an agent that was killed left running is ended by its next start, and reported', async () => {
  const grant = await broker.grant('ada', 'diagnose', { devices: [agent.device] });
  // It leads a session too, and has a variable of that name, but another mark.
  const bystander = spawn('/bin/sleep', ['60'], {
    detached: true,
    env: { [markName]: 'f'.repeat(32) },
    stdio: 'ignore',
  });
  const { ended } = spawnLatchkey(['run', agent.device, 'device.inspect'], ada);
  const left = [await pidIn(leader!), await pidIn(daemon!)];
  await agent.kill();
  assert.deepEqual(await Promise.all(left.map(isAlive)), [true, true], 'nobody else ended them');
  assert.equal((await ended).code, 125);

  agent = await agent.again();
  assert.deepEqual(await Promise.all(left.map(isAlive)), [false, false]);
  assert.ok(await isAlive(bystander.pid!));
  bystander.kill();
  const about = async (type: string) => (await broker.events(type)).filter((event) => event.grant === grant.id);
  await eventually(async () => (await about('session.ended')).length > 0);
  assert.equal((await about('action.performed')).length, 1);
  const { body } = await broker.call('ada', 'GET', `/v1/sessions?grant=${grant.id}`);
  assert.deepEqual(
    body.items.map((session: { state: string; cause: string }) => [session.state, session.cause]),
    [['ended', 'agent-died']],
  );
  assert.deepEqual(JSON.parse(await readFile(join(agent.stateDirectory, 'running-actions.json'), 'utf8')), []);
});
