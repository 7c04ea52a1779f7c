import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  removeAgentDirectories,
  signedIn,
  spawnLatchkey,
  startAgentProcess,
  type AgentProcess,
} from '../../support/agent-process.ts';
import { newTestBroker, people, type TestBroker } from '../../support/broker.ts';

let broker: TestBroker;
let agent: AgentProcess;
let ada: Record<string, string>;

before(async () => {
  broker = await newTestBroker();
  agent = await startAgentProcess(broker, {
    actions: {
      'device.inspect': {
        description: 'what the device is',
        dataClass: 'System Metadata',
        command: ['latchkey:inspect'],
        timeLimit: 'PT1M',
      },
    },
  });
  ada = await signedIn(broker, people.ada);
});
after(async () => {
  await agent.stop();
  await broker.stop();
  await removeAgentDirectories();
});

test('an engineer runs an action on a device, through the program, over TLS', async () => {
  await broker.grant('ada', 'diagnose', { devices: [agent.device] });
  const { ended } = spawnLatchkey(['run', agent.device, 'device.inspect'], ada);
  const { code, stderr } = await ended;
  assert.equal(code, 0, stderr);
  assert.match(agent.doorUrl, /^https:/);
  assert.equal((await broker.call('ada', 'GET', `/v1/devices/${agent.device}`)).body.door.url, agent.doorUrl);
});
