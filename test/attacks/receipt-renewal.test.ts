import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startAgent, type Agent } from '../../src/agent/index.ts';
import { newEngineer, type Engineer } from '../agent/support/engineer.ts';
import { startTestBroker, type TestBroker } from '../agent/support/test-broker.ts';
import { headerOf, newTestLedger } from '../agent/support/test-ledger.ts';

let broker: TestBroker;
let agent: Agent;
let directory: string;
let engineer: Engineer;
before(async () => {
  broker = await startTestBroker();
  directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
  engineer = await newEngineer(broker, ['device.inspect', 'device.reboot']);
  broker.grants = [engineer.listed()];
  agent = await start();
});
after(async () => {
  await agent.stop();
  await broker.close();
  await rm(directory, { recursive: true });
});

function start(): Promise<Agent> {
  return startAgent({
    brokerUrl: broker.url,
    stateDirectory: directory,
    enrolmentCode: broker.code,
    actions: new Map([['device.inspect', async () => 0]]),
    facts: () => ({}),
    inUse: () => false,
  });
}

const path = '/sessions';
type Header = string | string[];
const receiptOf = async (credential: string) => broker.ledger.header(credential);
const wrong: readonly [what: string, code: string, header: (credential: string) => Promise<Header>][] = [
  ['no receipt', 'no-receipt', async () => []],
  ['an empty receipt', 'bad-receipt', async () => ''],
  ['two receipts', 'bad-receipt', async (credential) => [await receiptOf(credential), await receiptOf(credential)]],
  ['a receipt of another credential', 'bad-receipt', async () => receiptOf(await engineer.credential())],
  ['a receipt of another ledger', 'bad-receipt', (credential) => newTestLedger().header(credential)],
  [
    'a harmless leaf',
    'bad-receipt',
    async (credential) => headerOf(await broker.ledger.receipt(credential, { event: { scopes: ['device.inspect'] } })),
  ],
  ['a receipt that is too long', 'bad-receipt', async () => 'A'.repeat(12_000)],
];

describe('at the door', () => {
  for (const [what, code, header] of wrong) {
    it(`no session is opened, and none renewed, with ${what}`, async () => {
      const first = await engineer.credential();
      const session = await engineer.open(agent.doorUrl, first);
      const fresh = await engineer.credential({ exp: Math.floor(Date.now() / 1_000) + 590 });
      for (const [method, place] of [
        ['POST', path],
        ['PUT', session],
      ] as const) {
        const headers = { 'latchkey-receipt': await header(fresh) };
        const call = { method, path: place, credential: fresh, headers };
        const { status, json, text } = await engineer.call(agent.doorUrl, call);
        assert.deepEqual([status, json['type']], [403, `urn:latchkey:refusal:${code}`], `${method}: ${text}`);
      }
      const act = { method: 'POST', path: `${session}/actions/device.inspect` };
      assert.equal((await engineer.call(agent.doorUrl, { ...act, credential: fresh })).status, 409);
      assert.equal((await engineer.call(agent.doorUrl, { ...act, credential: first })).status, 200);
      await engineer.call(agent.doorUrl, { method: 'DELETE', path: session, credential: first });
    });
  }

  it('a receipt shown once does not stand for the next time', async () => {
    const credential = await engineer.credential();
    const session = await engineer.open(agent.doorUrl, credential);
    for (const [method, place] of [
      ['POST', path],
      ['PUT', session],
    ] as const) {
      const call = { method, path: place, credential, headers: { 'latchkey-receipt': [] } };
      const { json } = await engineer.call(agent.doorUrl, call);
      assert.equal(json['type'], 'urn:latchkey:refusal:no-receipt');
    }
    assert.equal((await engineer.call(agent.doorUrl, { method: 'PUT', path: session, credential })).status, 200);
  });

  it('whoever brings no receipt that holds is counted, and nothing is written to the ledger of it', async () => {
    const stranger = await newEngineer(broker, ['device.inspect']);
    const credential = await stranger.credential();
    const before = agent.refusals();
    const act = { method: 'POST', path: '/sessions/ses_0/actions/device.inspect', credential };
    const unlisted = await stranger.call(agent.doorUrl, act);
    assert.equal(unlisted.json['type'], 'urn:latchkey:refusal:grant-not-live');
    for (const header of [[], 'AAAA']) {
      const headers = { 'latchkey-receipt': header };
      await stranger.call(agent.doorUrl, { method: 'POST', path, credential, headers });
    }
    const refusals = agent.refusals();
    assert.equal(refusals['no-receipt']!, (before['no-receipt'] ?? 0) + 1);
    assert.equal(refusals['bad-receipt']!, (before['bad-receipt'] ?? 0) + 1);
    // With its receipt the same refusal is an event; whatever came of the others would have come before it.
    await stranger.call(agent.doorUrl, { method: 'POST', path, credential });
    await broker.event('session.refused', stranger.grant);
    assert.equal(broker.eventsOf(stranger.grant).length, 1);
  });

  it('nobody comes in once the device has lost the ledger’s key', async () => {
    await agent.stop();
    const file = join(directory, 'device.json');
    const enrolment = await readFile(file, 'utf8');
    await writeFile(file, JSON.stringify({ ...(JSON.parse(enrolment) as object), ledgerKey: undefined }));
    agent = await start();
    const credential = await engineer.credential();
    const { status, json } = await engineer.call(agent.doorUrl, { method: 'POST', path, credential });
    assert.deepEqual([status, json['type']], [403, 'urn:latchkey:refusal:bad-receipt']);
  });
});
