import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { problem, startScriptedServer, type ScriptedServer } from './support/scripted-server.ts';
import { sampleDevice, sampleRequest, oslo } from './support/samples.ts';
import { jsonLinesOf, openTerminal, type Terminal } from './support/terminal.ts';

let broker: ScriptedServer;
let terminal: Terminal;

beforeEach(async () => {
  broker = await startScriptedServer();
  terminal = openTerminal({ LATCHKEY_URL: broker.url, LATCHKEY_TOKEN: 'the-token' });
  broker.on(`GET /v1/devices/${oslo}`, () => ({ body: sampleDevice() }));
});
afterEach(async () => {
  await broker.stop();
  terminal.clear();
});

const ask = ['request', 'remediate', oslo, '--for', '30m', '--reason', 'panel frozen'];

test('every kind of failure has its exit code', async () => {
  const cases = [
    [problem(400, 'invalid-request', 'the start lies in the past'), 1],
    [problem(401, 'unauthenticated', 'the token has run out'), 4],
    [problem(403, 'not-permitted', 'your training has run out'), 3],
    [problem(404, 'not-found', 'there is no such device'), 1],
    [problem(409, 'conflict', 'the request is already `granted`'), 1],
    [problem(429, 'too-many-requests', 'too many calls'), 1],
    [problem(500, 'internal', 'something broke'), 1],
    [problem(503, 'unavailable', 'the database is away'), 5],
    [{ status: 502, body: '<html>bad gateway</html>' }, 5],
    [{ status: 302, headers: { location: 'https://elsewhere.example' } }, 5],
  ] as const;
  for (const [answer, code] of cases) {
    broker.on('POST /v1/requests', () => answer);
    const typed = await terminal.type(ask);
    assert.equal(typed.code, code, JSON.stringify(answer));
    assert.equal(typed.stdout, '');
    assert.match(typed.stderr, /^latchkey: /);
  }
});

test('wrong usage is 2, and 122 for commands that carry an action’s code', async () => {
  const lines = [
    [],
    ['nonsense'],
    ['request', 'remediate', oslo],
    ['request', 'remediate', oslo, '--for', 'soon', '--reason', 'x'],
    ['request', 'remediate', oslo, '--for', '0s', '--reason', 'x'],
    ['request', 'remediate', oslo, '--for', '30m', '--reason', '  '],
    ['request', 'remediate', oslo, '--for', '30m', '--reason', 'x', '--at', 'someday'],
    ['request', 'remediate', oslo, '--for', '30m', '--reason', 'x', '--wait', '--dry-run'],
    ['requests', '--state', 'frozen'],
    ['approve', oslo],
    ['grants', '--limit', '0'],
    ['revoke', sampleRequest().id, '--reason', 'x'],
  ];
  for (const line of lines) assert.equal((await terminal.type(line)).code, 2, line.join(' '));
  assert.equal((await terminal.type(['run', oslo])).code, 122);
  assert.equal((await terminal.type(['run', oslo, 'device.inspect', 'oops'])).code, 122);
  assert.deepEqual(broker.calls, []);
});

test('a refusal by policy names each rule and what would satisfy it', async () => {
  const reasons = [
    { policy: 'training-must-be-valid', message: 'your training ran out', remedy: 'renew the training' },
    { policy: 'too-long', message: 'at most one hour', remedy: null },
  ];
  broker.on('POST /v1/requests', () => problem(403, 'not-permitted', 'policy does not allow this', { reasons }));
  const typed = await terminal.type(ask);
  assert.equal(
    typed.stderr,
    [
      'latchkey: policy does not allow this',
      '  - your training ran out (training-must-be-valid)',
      '    renew the training',
      '  - at most one hour (too-long)',
      '',
    ].join('\n'),
  );
  const json = await terminal.type([...ask, '--json']);
  const [document] = jsonLinesOf(json) as [Record<string, unknown>];
  assert.equal(document['type'], 'urn:latchkey:problem:not-permitted');
  assert.deepEqual(document['reasons'], reasons);
  assert.equal(document['exitCode'], 3);
});

test('a refusal for one reason is one sentence with the name of the rule, and what would satisfy it', async () => {
  const reasons = [{ policy: 'training-is-valid', message: 'your training ran out', remedy: 'renew it' }];
  broker.on('POST /v1/requests', () => problem(403, 'not-permitted', 'your training ran out', { reasons }));
  assert.equal((await terminal.type(ask)).stderr, 'latchkey: your training ran out (training-is-valid)\n  renew it\n');
  const errors = [{ pointer: '/startsAt', message: 'lies in the past' }];
  broker.on('POST /v1/requests', () => problem(400, 'invalid-request', 'lies in the past', { errors }));
  assert.equal((await terminal.type(ask)).stderr, 'latchkey: /startsAt: lies in the past\n');
});

test('mistakes in what was sent are shown with their places', async () => {
  const errors = [{ pointer: '/startsAt', message: 'it lies in the past' }];
  broker.on('POST /v1/requests', () => problem(400, 'invalid-request', 'the request makes no sense', { errors }));
  assert.match((await terminal.type(ask)).stderr, /\/startsAt: it lies in the past/);
});

test('a POST that failed on the network is sent again with the same key, so that nothing is done twice', async () => {
  let tries = 0;
  broker.on('POST /v1/requests', (_, response) => {
    tries += 1;
    if (tries === 3) return { status: 201, body: sampleRequest() };
    return void response.socket?.destroy();
  });
  const typed = await terminal.type(ask);
  assert.equal(typed.code, 0, typed.stderr);
  const keys = broker.calls.filter(({ method }) => method === 'POST').map(({ headers }) => headers['idempotency-key']);
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
  assert.match(String(keys[0]), /^[0-9a-f-]{36}$/);
});

test('a broker that asks for patience gets it, once it says for how long', async () => {
  let tries = 0;
  broker.on('POST /v1/requests', () => {
    tries += 1;
    if (tries > 1) return { status: 201, body: sampleRequest() };
    return { ...problem(429, 'too-many-requests', 'slowly'), headers: { 'retry-after': '0' } };
  });
  assert.equal((await terminal.type(ask)).code, 0);
});

test('a broker that is not there is 5, and the sentence says what was tried', async () => {
  const { url } = broker;
  await broker.stop();
  const typed = await terminal.type(['profiles'], { env: { LATCHKEY_URL: url } });
  assert.equal(typed.code, 5);
  assert.match(typed.stderr, new RegExp(`the broker at \`${url}\` cannot be reached: nothing listens there`));
  broker = await startScriptedServer();
});

test('nothing that a server says can repaint the terminal of whoever reads it', async () => {
  const evil = '\u001b[2J\u001b]0;owned\u0007\r\u009b1mapproved\u202e';
  const request = sampleRequest({
    reason: evil,
    ticket: evil,
    requester: { ...sampleRequest().requester, name: evil },
  });
  broker.on(`GET /v1/devices/${oslo}`, () => ({ body: sampleDevice({ name: evil }) }));
  broker.on('GET /v1/requests', () => ({ body: { items: [request], next: null } }));
  broker.on(`GET /v1/requests/${request.id}`, () => ({ body: request }));
  broker.on(`POST /v1/requests/${request.id}/decisions`, () =>
    problem(403, 'not-permitted', evil, { reasons: [{ policy: evil, message: evil, remedy: evil }] }),
  );
  broker.on('GET /v1/notices', () => ({
    body: { items: [{ id: 'n', kind: evil, subject: evil, at: evil, text: evil }], next: null },
  }));
  broker.on('GET /v1/alarms', () => ({
    body: { items: [{ id: evil, kind: evil, subject: evil, since: evil, closedAt: null }], next: null },
  }));
  const lines = [
    ['requests', '--view', 'all'],
    ['requests', request.id],
    ['approve', request.id],
    ['notices'],
    ['alarms'],
    ['run', 'nobody', 'x'],
  ];
  broker.on('GET /v1/devices', () => ({ body: { items: [sampleDevice({ name: evil })], next: null } }));
  for (const line of [...lines, ['devices']]) {
    const written = await terminal.type(line, { env: { NO_COLOR: '1' } });
    assert.match(written.stdout + written.stderr, /␛\[2J|nobody/, line.join(' '));
    for (const { stdout, stderr } of [written, await terminal.type([...line, '--json'])]) {
      assert.doesNotMatch(stdout + stderr, /[^\P{Cc}\n]|\u202e/u, line.join(' '));
    }
  }
});
