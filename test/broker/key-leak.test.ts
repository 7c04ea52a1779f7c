import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { decodeProtectedHeader } from 'jose';
import { startAgent, type Agent } from '../../src/agent/index.ts';
import { signAgentToken } from '../../src/credentials/statements.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import type { Minted } from '../support/device-door.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { openTestKeysDesk, type TestKeysDesk } from '../support/keys-desk.ts';
import { eventually, mint, ok, sleep } from './support/scenario.ts';

let broker: TestBroker;
let desk: TestKeysDesk;
let agent: Agent;
let directory: string;
let holder: EngineerKey;
before(async () => {
  broker = await newTestBroker({ quiet: true });
  desk = await openTestKeysDesk(broker);
  directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
  holder = await newEngineerKey();
  const { code } = await ok(broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id }), 201);
  agent = await startAgent({
    brokerUrl: broker.config.publicUrl,
    stateDirectory: directory,
    enrolmentCode: code,
    actions: new Map(),
    facts: () => ({ hostname: 'room' }),
    inUse: () => false,
  });
});
after(async () => {
  await agent.stop();
  await desk.close();
  await broker.checkLedger();
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

async function open({ credential, receipt }: Minted): Promise<{ status: number; type: string | undefined }> {
  const url = `${agent.doorUrl}/sessions`;
  const headers = {
    authorization: `DPoP ${credential}`,
    dpop: await holder.proof('POST', url, { token: credential }),
    'latchkey-receipt': Buffer.from(receipt).toString('base64'),
  };
  const response = await fetch(url, { method: 'POST', headers });
  const { type } = (await response.json()) as { type?: string };
  return { status: response.status, type };
}
/** Calls now and then, as people do, until it is answered so. */
const answered = (status: number, minted: Minted): Promise<boolean> =>
  eventually(async () => {
    const { status: got } = await open(minted);
    if (got !== status) await sleep(250);
    return got === status;
  });
const refusal = { status: 401, type: 'urn:latchkey:refusal:bad-signature' };

test('what a leaked credential key signed is refused at the door within seconds, and what the new one signs is not', async () => {
  const grant = await broker.grant('ada', 'remediate', { devices: [agent.device] });
  const fresh = () => ok(mint(broker, 'ada', grant, { key: holder }), 201) as Promise<Minted>;
  const old = await fresh();
  assert.equal((await open(old)).status, 201);

  await desk.rotate('credential', true);
  const asked = performance.now();
  await answered(401, old);
  assert.deepEqual(await open(old), refusal);
  assert.ok(performance.now() - asked < 15_000, 'the list was pushed, rather than found to have run out');

  const next = await fresh();
  assert.notEqual(decodeProtectedHeader(next.credential).kid, decodeProtectedHeader(old.credential).kid);
  // The device asks for keys it does not know no more often than every five seconds.
  await answered(201, next);
  assert.deepEqual(await open(old), refusal);
});

test('what a leaked statement key signed is refused by broker and device', async () => {
  const { context } = broker.brokers[0]!;
  const leaked = context.keys.statement.signing();
  const now = new Date();
  const token = await signAgentToken(leaked, context.issuer, agent.device, now);
  const list = () =>
    fetch(`${broker.config.publicUrl}/v1/agent/live-grants`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await list()).status, 200);
  const stream = await fetch(`${broker.config.publicUrl}/v1/agent/stream`, {
    headers: { authorization: `Bearer ${token}` },
  });
  assert.equal(stream.status, 200);

  await desk.rotate('statement', true);
  await eventually(async () => (await list()).status === 401);
  // Whoever was connected with such a token is so no more.
  const reader = stream.body!.getReader();
  await eventually(async () => (await reader.read().catch(() => ({ done: true }))).done);
  assert.ok(!context.keys.statement.published().some(({ kid }) => kid === leaked.kid));

  // The device itself goes on: it signs in again, and believes lists that the new key signs.
  const grant = await broker.grant('ada', 'remediate', { devices: [agent.device] });
  const minted = (await ok(mint(broker, 'ada', grant, { key: holder }), 201)) as Minted;
  await answered(201, minted);

  const keys = await ok(broker.call(null, 'GET', '/.well-known/jwks.json'));
  assert.ok(!JSON.stringify(keys).includes(leaked.kid));
});
