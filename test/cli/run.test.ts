import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { grace } from './support/samples.ts';
import { freshGrant, openRoom, type Room } from './support/room.ts';
import { problem, startScriptedServer } from './support/scripted-server.ts';
import { jsonLinesOf, openTerminal, type Terminal, type Transcript } from './support/terminal.ts';

let room: Room;
let terminal: Terminal;

before(async () => void (room = await openRoom()));
after(() => room.stop());
beforeEach(async () => {
  terminal = openTerminal({ LATCHKEY_URL: room.api.url, LATCHKEY_TOKEN: 'the-token' });
  room.api.calls.length = 0;
  await freshGrant(room);
});
afterEach(() => terminal.clear());

/** Ends the grant while something runs, as the broker would: its list first, then its answers. */
async function revoke(): Promise<void> {
  const endedAt = new Date().toISOString();
  room.grant = { ...room.grant, state: 'revoked', endedAt, endedBy: grace, endReason: 'the meeting began' };
  await room.list(false);
}

/** Waits until a session of the room's grant is open at the door, then a little for the action to begin. */
async function onceOpen(): Promise<void> {
  await room.broker.event('session.started', room.grant.id);
  await sleep(200);
}

test('run does the action at the real door, carries its output and exit code, and closes the session', async () => {
  const typed = await terminal.type(['run', 'Oslo 3', 'device.inspect', 'lines:=3', 'deep:=true', 'unit=rooms']);
  assert.deepEqual(typed, { code: 3, stdout: '{"lines":3,"deep":true,"unit":"rooms"}\n', stderr: 'done\n' });
  const ended = await room.broker.event('session.ended', room.grant.id);
  assert.equal(ended['cause'], 'closed');
});

test('a scope with a colon finds its way', async () => {
  assert.equal((await terminal.type(['run', room.device.id, 'logs.collect:system'])).code, 0);
});

test('on a terminal the device cannot repaint it, into a pipe and with --raw every byte is carried', async () => {
  const line = ['run', room.device.id, 'logs.collect:system'];
  assert.equal((await terminal.type(line, { columns: 80 })).stdout, '␛[2Jå\n');
  assert.equal((await terminal.type(line)).stdout, '\u001b[2Jå\n');
  assert.equal((await terminal.type([...line, '--raw'], { columns: 80 })).stdout, '\u001b[2Jå\n');
});

test('run --json is a document a line: the session, the output, the end', async () => {
  const typed = await terminal.type(['run', room.device.id, 'device.inspect', '--json']);
  const [session, ...lines] = jsonLinesOf(typed) as Record<string, unknown>[];
  assert.match(String(session?.['session']), /^ses_/);
  assert.equal(session?.['grant'], room.grant.id);
  assert.deepEqual(lines, [
    { stream: 'stdout', data: Buffer.from('{}\n').toString('base64') },
    { stream: 'stderr', data: Buffer.from('done\n').toString('base64') },
    { exit: 3 },
  ]);
  assert.equal(typed.stderr, '');
  assert.equal(typed.code, 3);
});

test('what revoking cuts says who ended it and why, and ends with 123', async () => {
  const running = terminal.type(['run', room.device.id, 'usb.reset']);
  await onceOpen();
  await revoke();
  const typed = await running;
  assert.equal(typed.code, 123);
  assert.equal(typed.stdout, 'working\n');
  assert.match(typed.stderr, /ended: revoked by Grace Hopper at \d{4}-\d\d-\d\d [\d:]{8} UTC: the meeting began\n/);
});

test('a grant about to end is announced with how to extend it, and its end cuts the action', async () => {
  await freshGrant(room, { expiresAt: new Date(Date.now() + 3500).toISOString() });
  const typed = await terminal.type(['run', room.device.id, 'usb.reset']);
  assert.equal(typed.code, 123);
  assert.match(
    typed.stderr,
    new RegExp(`access ends in \\d s; ask for more time with: latchkey extend ${room.grant.id}`),
  );
  assert.equal(typed.stderr.match(/access ends in/g)?.length, 1);
});

test('a session is renewed while its action runs, so that it outlives its first credential', async () => {
  room.credentialSeconds = 4;
  const typed = await terminal.type(['run', room.device.id, 'app.restart', 'seconds:=6']);
  assert.equal(typed.code, 0, typed.stderr);
  const minted = room.api.calls.filter(({ path }) => path.endsWith('/credentials'));
  assert.ok(minted.length >= 2, `minted ${minted.length} times`);
  assert.equal(new Set(minted.map(({ headers }) => headers['idempotency-key'])).size, minted.length);
});

test('a right that is lost while the action runs is told, and the session ends with its credential', async () => {
  room.credentialSeconds = 4;
  const running = terminal.type(['run', room.device.id, 'app.restart', 'seconds:=30']);
  await onceOpen();
  room.api.on(`POST /v1/grants/${room.grant.id}/credentials`, () =>
    problem(403, 'not-permitted', 'your training ran out'),
  );
  const typed = await running;
  assert.equal(typed.code, 123);
  assert.match(typed.stderr, /cannot be renewed: your training ran out/);
  assert.match(typed.stderr, /ended: the credential has run out/);
});

test('Ctrl-C stops the action, closes the session and ends with 121', async () => {
  const stop = new AbortController();
  const running = terminal.type(['run', room.device.id, 'usb.reset'], { signal: stop.signal });
  await onceOpen();
  stop.abort();
  const typed = await running;
  assert.equal(typed.code, 121);
  assert.match(typed.stderr, /interrupted/);
  assert.equal((await room.broker.event('session.ended', room.grant.id))['cause'], 'closed');
});

test('a door that refuses is explained in words and ends with 123', async () => {
  await room.list(false);
  const typed = await terminal.type(['run', room.device.id, 'device.inspect']);
  assert.equal(typed.code, 123);
  assert.match(typed.stderr, /`Oslo 3`: the grant is not in force on this device \(grant-not-live\)/);
});

test('a grant that reaches the device a moment later is waited for', async () => {
  await room.list(false);
  const running = terminal.type(['run', room.device.id, 'device.inspect']);
  await sleep(500);
  await room.list(true);
  assert.equal((await running).code, 3);
});

test('without a fitting grant run says what there is and how to ask for what is missing', async () => {
  const profile = { name: 'remote-admin', scopes: ['session.remote-admin'] };
  room.api.on('GET /v1/profiles', () => ({ body: { items: [profile], next: null } }));
  const typed = await terminal.type(['run', 'Oslo 3', 'session.remote-admin']);
  assert.equal(typed.code, 121);
  assert.match(typed.stderr, /no active grant for `session\.remote-admin` on `Oslo 3`/);
  assert.match(
    typed.stderr,
    new RegExp(`grant \`${room.grant.id}\` allows .*latchkey request remote-admin ${room.device.id}`),
  );
  room.grant = { ...room.grant, state: 'scheduled', startsAt: new Date(Date.now() + 600_000).toISOString() };
  assert.match((await terminal.type(['run', 'Oslo 3', 'device.inspect'])).stderr, /starts in (10|9) min/);
});

test('the receipt travels to the door in base64, and every proof is fresh', async () => {
  const door = await startScriptedServer();
  const device = { ...room.device, door: { url: door.url, certificateSha256: null } };
  room.api.on(`GET /v1/devices/${device.id}`, () => ({ body: device }));
  try {
    await terminal.type(['run', device.id, 'device.inspect']);
    const { authorization, 'latchkey-receipt': receipt } = door.calls[0]!.headers;
    assert.match(String(authorization), /^DPoP ey/);
    assert.equal(receipt, await room.broker.ledger.header(String(authorization).slice('DPoP '.length)));
  } finally {
    room.api.on(`GET /v1/devices/${device.id}`, () => ({ body: room.device }));
    await door.stop();
  }
});

test('a door that is nowhere, not told, or plain http on another machine is not called', async () => {
  const cases: [string | null, number, RegExp][] = [
    [null, 125, /has not told the broker where its door is/],
    ['http://127.0.0.1:9', 125, /cannot be reached/],
    ['http://10.1.2.3:7000', 122, /plain http, which is only used on this machine/],
    ['https://10.1.2.3:7000', 121, /no certificate for the door/],
  ];
  for (const [url, code, message] of cases) {
    const door = url === null ? null : { url };
    room.api.on(`GET /v1/devices/${room.device.id}`, () => ({ body: { ...room.device, door } }));
    const typed = await terminal.type(['run', room.device.id, 'device.inspect']);
    assert.equal(typed.code, code, typed.stderr);
    assert.match(typed.stderr, message);
  }
  room.api.on(`GET /v1/devices/${room.device.id}`, () => ({ body: room.device }));
});

function converse(lines: string, ...more: string[]): Promise<Transcript> {
  return terminal.type(['connect', room.device.id, ...more], { stdin: lines });
}

test('connect does several actions in one session, from a pipe, and ends with the last exit code', async () => {
  const typed = await converse('help\ndevice.inspect a=1\napp.restart seconds:=0\n\ndevice.inspect\nexit\nusb.reset\n');
  assert.equal(typed.code, 3);
  assert.equal(typed.stdout, '{"a":"1"}\n{}\n');
  assert.match(typed.stderr, /connected to Oslo 3; access ends in 60 min\n/);
  assert.match(typed.stderr, /with key=value arguments.*\n {2}device\.inspect\n/);
  await room.broker.event('session.ended', room.grant.id);
  const types = room.broker.eventsOf(room.grant.id).map(({ type }) => type);
  assert.deepEqual(types.filter((type) => type === 'session.started').length, 1);
});

test('connect tells what went wrong and goes on', async () => {
  const typed = await converse('nonsense\ndevice.inspect oops\napp.restart seconds:=0\n');
  assert.equal(typed.code, 0);
  assert.match(typed.stderr, /`oops` is not an argument/);
  assert.match(typed.stderr, /the session allows no `nonsense`/);
  assert.equal((await converse('nonsense\n')).code, 122);
  assert.ok(!room.broker.eventsOf(room.grant.id).some(({ type }) => type === 'session.refused'));
});

test('connect ends when access ends, also between two actions', async () => {
  const running = converse('usb.reset\ndevice.inspect\n');
  await onceOpen();
  await revoke();
  const typed = await running;
  assert.equal(typed.code, 123);
  assert.match(typed.stderr, /ended: .*revoked by Grace Hopper/);
});

test('connect --json is a document a line', async () => {
  const lines = jsonLinesOf(await converse('device.inspect\nnonsense\n', '--json')) as Record<string, unknown>[];
  assert.ok('session' in lines[0]!);
  assert.deepEqual(lines.at(-2), { exit: 3 });
  assert.equal(lines.at(-1)?.['type'], 'urn:latchkey:cli:usage');
});
