import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { problem, startScriptedServer, type ScriptedServer } from './support/scripted-server.ts';
import { grace, oslo, sampleDevice, sampleGrant, sampleNow, sampleRequest } from './support/samples.ts';
import { jsonLinesOf, openTerminal, type Terminal } from './support/terminal.ts';
import { newId } from '../../src/domain/ids.ts';

let broker: ScriptedServer;
let terminal: Terminal;
const now = (): number => sampleNow;
const request = sampleRequest();
const granted = sampleRequest({
  id: request.id,
  state: 'granted',
  grant: sampleGrant(),
  stages: [{ ...request.stages[0]!, approvedBy: [grace] }],
  decisions: [{ by: grace, verdict: 'approve', stage: 'lead', comment: 'go', narrow: null, at: request.createdAt }],
});

beforeEach(async () => {
  broker = await startScriptedServer();
  terminal = openTerminal({ LATCHKEY_URL: broker.url, LATCHKEY_TOKEN: 'the-token' });
  broker.on(`GET /v1/devices/${oslo}`, () => ({ body: sampleDevice() }));
  broker.on('GET /v1/devices', () => ({ body: { items: [sampleDevice()], next: null } }));
  broker.on('POST /v1/requests', () => ({ status: 201, body: request }));
});
afterEach(async () => {
  await broker.stop();
  terminal.clear();
});

const ask = (device: string, ...more: string[]): string[] => [
  'request',
  'remediate',
  device,
  '--for',
  '30m',
  '--reason',
  'panel frozen',
  ...more,
];

test('request finds the device by name, sends what the contract says, and tells what to do next', async () => {
  const typed = await terminal.type(ask('oslo 3', '--ticket', 'INC1', '--at', '+2h'), { now });
  assert.equal(typed.code, 0, typed.stderr);
  assert.equal(typed.stderr, '');
  assert.equal(
    typed.stdout,
    [
      `${request.id}  pending`,
      '  profile    remediate',
      `  devices    Oslo 3 (${oslo})`,
      '  scopes     device.inspect, device.reboot',
      '  data       System Metadata',
      '  for        30 min',
      '  reason     panel frozen (INC0012345)',
      '  asked by   Ada Lovelace, 3 min ago',
      '  waits for  lead (1 of room-leads)',
      '  lapses     in 57 min',
      '',
      `  approve with:   latchkey approve ${request.id}`,
      `  follow it with: latchkey requests ${request.id} --watch`,
      `  take it back:   latchkey cancel ${request.id}`,
      '',
    ].join('\n'),
  );
  assert.deepEqual(broker.calls.find(({ method }) => method === 'POST')?.body, {
    profile: 'remediate',
    devices: [oslo],
    duration: 'PT30M',
    reason: 'panel frozen',
    ticket: 'INC1',
    startsAt: '2026-03-01T14:00:00.000Z',
  });
});

test('a device is found by host name and serial number too, and each is asked for once', async () => {
  await terminal.type(['request', 'remediate', 'OSLO-3.rooms', 'sn-0042', oslo, '--for', '30m', '--reason', 'x']);
  const sent = broker.calls.find(({ method }) => method === 'POST')?.body as { devices: string[] };
  assert.deepEqual(sent.devices, [oslo]);
});

test('an unknown name and one that several devices share are told apart, and nothing is asked', async () => {
  const unknown = await terminal.type(ask('oslo'));
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /you see no device .* `oslo`\n {2}did you mean `Oslo 3`/);
  const twin = sampleDevice({ id: newId('device', sampleNow + 5) });
  broker.on('GET /v1/devices', () => ({ body: { items: [sampleDevice(), twin], next: null } }));
  const ambiguous = await terminal.type(ask('Oslo 3'));
  assert.equal(ambiguous.code, 1);
  assert.match(ambiguous.stderr, new RegExp(`may be any of 2 devices\n.*${twin.id}`));
  assert.ok(!broker.calls.some(({ method }) => method === 'POST'));
});

test('a dry run asks with dryRun=true and says that nothing was recorded', async () => {
  const typed = await terminal.type(ask(oslo, '--dry-run'));
  assert.equal(typed.code, 0);
  assert.match(typed.stdout, /nothing was recorded/);
  assert.doesNotMatch(typed.stdout, /approve with/);
  assert.equal(broker.calls.find(({ method }) => method === 'POST')?.query.get('dryRun'), 'true');
});

test('--wait follows the request in plain lines until it is granted, and says how to use it', async () => {
  let polls = 0;
  broker.on(`GET /v1/requests/${request.id}`, ({ query }) => {
    assert.equal(query.get('wait'), '25');
    polls += 1;
    return { body: polls < 2 ? request : granted };
  });
  const typed = await terminal.type(ask(oslo, '--wait'));
  assert.equal(typed.code, 0, typed.stderr);
  assert.match(typed.stderr, /pending: waiting for lead \(1 of room-leads\).*\n.*granted: /);
  assert.match(typed.stdout, /use it with: +latchkey run dev_\w+ device\.inspect/);
  assert.match(typed.stdout, /lead +approved by Grace Hopper “go”/);
});

test('--wait on a terminal shows one live line and leaves nothing of it behind', async () => {
  broker.on(`GET /v1/requests/${request.id}`, () => ({ body: granted }));
  const typed = await terminal.type(ask(oslo, '--wait'), { columns: 80 });
  assert.match(
    typed.stderr.replaceAll('\r\u001b[2K', '<clear>'),
    /^waiting for req_\w+; Ctrl-C leaves it as it is\n<clear>0 s +pending: waiting for lead[^<]*<clear>$/,
  );
});

test('--wait ends with 3 on a denial, naming who said no and why, and with 1 when nobody decided', async () => {
  const decisions = [{ ...granted.decisions[0]!, verdict: 'deny' as const, comment: 'there is a meeting' }];
  broker.on(`GET /v1/requests/${request.id}`, () => ({ body: { ...request, state: 'denied', decisions } }));
  const denied = await terminal.type(ask(oslo, '--wait'));
  assert.equal(denied.code, 3);
  assert.match(denied.stderr, /denied by Grace Hopper: there is a meeting/);
  broker.on(`GET /v1/requests/${request.id}`, () => ({ body: { ...request, state: 'lapsed' } }));
  assert.equal((await terminal.type(ask(oslo, '--wait'))).code, 1);
});

test('--wait --json writes a document a change and nothing else', async () => {
  broker.on(`GET /v1/requests/${request.id}`, () => ({ body: granted }));
  assert.deepEqual(jsonLinesOf(await terminal.type(ask(oslo, '--wait', '--json'))), [request, granted]);
});

test('Ctrl-C while waiting says that the request stays', async () => {
  broker.on(`GET /v1/requests/${request.id}`, () => new Promise<void>(() => undefined));
  const typed = await terminal.type(ask(oslo, '--wait'), { signal: AbortSignal.timeout(300) });
  assert.equal(typed.code, 1);
  assert.match(typed.stderr, new RegExp(`stopped waiting; the request \`${request.id}\` stays as it is`));
  assert.ok(!broker.calls.some(({ path }) => path.endsWith('/cancel')));
});

test('approve sends stage, comment and narrowing, and says what became of it', async () => {
  broker.on(`POST /v1/requests/${request.id}/decisions`, () => ({ body: granted }));
  const line = ['approve', request.id, '--stage', 'lead', '--comment', 'a reboot will do'];
  const typed = await terminal.type(
    [...line, '--for', '15m', '--scopes', 'device.inspect, device.reboot', '--devices', 'Oslo 3'],
    { now },
  );
  assert.equal(typed.code, 0, typed.stderr);
  assert.match(typed.stdout, /→ granted; it ends in 30 min/);
  assert.deepEqual(broker.calls.at(-2)?.body, {
    verdict: 'approve',
    stage: 'lead',
    comment: 'a reboot will do',
    narrow: { duration: 'PT15M', scopes: ['device.inspect', 'device.reboot'], devices: [oslo] },
  });
  broker.on(`POST /v1/requests/${request.id}/decisions`, () => ({ body: request }));
  assert.match((await terminal.type(['approve', request.id])).stdout, /it still waits for lead/);
  assert.deepEqual(broker.calls.at(-2)?.body, { verdict: 'approve' });
});

test('deny and cancel say what they did, and a conflict says what was before', async () => {
  broker.on(`POST /v1/requests/${request.id}/decisions`, () => ({ body: { ...request, state: 'denied' } }));
  assert.match((await terminal.type(['deny', request.id, '--comment', 'no'])).stdout, /→ denied; nobody gets access/);
  broker.on(`POST /v1/requests/${request.id}/cancel`, () => ({ body: { ...request, state: 'cancelled' } }));
  assert.match((await terminal.type(['cancel', request.id])).stdout, /is cancelled/);
  broker.on(`POST /v1/requests/${request.id}/cancel`, () =>
    problem(409, 'conflict', 'the request is already `granted`'),
  );
  const late = await terminal.type(['cancel', request.id]);
  assert.equal(late.code, 1);
  assert.match(late.stderr, /already `granted`/);
});

test('--watch tells what is new and what was decided by others until Ctrl-C, which is no failure', async () => {
  const stop = new AbortController();
  let reads = 0;
  broker.on('GET /v1/requests', () => {
    reads += 1;
    if (reads === 3) setTimeout(() => stop.abort(), 200);
    return { body: { items: reads === 2 ? [request] : [], next: null } };
  });
  broker.on(`GET /v1/requests/${request.id}`, () => ({ body: granted }));
  const typed = await terminal.type(['requests', '--view', 'approvable', '--watch'], { signal: stop.signal, now });
  assert.equal(typed.code, 0, typed.stderr);
  assert.match(
    typed.stdout,
    /nothing waits for you\n.*new from Ada Lovelace: remediate for 30 min, “panel frozen”.*\n.*granted: ends in 30 min/,
  );
});
