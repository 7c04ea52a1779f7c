import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../agent/program/support.ts';
import {
  removeAgentDirectories,
  signedIn,
  spawnLatchkey,
  startAgentProcess,
  type AgentProcess,
} from '../support/agent-process.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';

let broker: TestBroker;
let agent: AgentProcess;
let ada: Record<string, string>;

before(async () => {
  broker = await newTestBroker();
  const command = ['/usr/bin/head', '-c', '1073741824', '/dev/zero'];
  const flood = { description: 'a gigabyte', dataClass: 'System Metadata', command, timeLimit: 'PT10M' };
  agent = await startAgentProcess(broker, { actions: { 'device.inspect': flood } });
  ada = await signedIn(broker, people.ada);
});
after(async () => {
  await agent.stop();
  await broker.stop();
  await removeAgentDirectories();
});

/** Megabytes that a process has in memory. */
async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1_024;
}

test('a gigabyte that nobody reads fills no memory, neither the agent’s nor the client’s, and ends with the client', async () => {
  const grant = await broker.grant('ada', 'diagnose', { devices: [agent.device] });
  const before = await residentMegabytes(agent.pid);
  const { child } = spawnLatchkey(['run', agent.device, 'device.inspect'], ada, 'unread');
  await eventually(async () => (await broker.events('session.started')).some((event) => event.grant === grant.id));
  await sleep(3_000);
  const grown = (await residentMegabytes(agent.pid)) - before;
  assert.ok(grown < 200, `the agent has grown by ${grown} MB`);
  assert.ok((await residentMegabytes(child.pid!)) < 400);
  const performed = async () => (await broker.events('action.performed')).filter((event) => event.grant === grant.id);
  assert.deepEqual(await performed(), [], 'it waits');
  child.kill('SIGKILL');
  await eventually(async () => (await performed()).length === 1, 20_000);
});
