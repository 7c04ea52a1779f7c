import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { textWidth } from '../../src/cli/text/width.ts';
import { newId } from '../../src/domain/ids.ts';
import { startScriptedServer, type ScriptedServer } from './support/scripted-server.ts';
import { grace, oslo, sampleDevice, sampleGrant, sampleNow, sampleRequest } from './support/samples.ts';
import { jsonLinesOf, openTerminal, type Terminal } from './support/terminal.ts';

let broker: ScriptedServer;
let terminal: Terminal;
const now = (): number => sampleNow;
const profile = {
  name: 'remote-admin',
  title: 'Remote administration',
  scopes: ['session.remote-admin', 'device.inspect', 'device.reboot', 'usb.reset', 'app.restart'],
  dataClasses: ['OII', 'EUII'],
  stages: [
    { name: 'lead', from: ['room-leads'], needs: 1 },
    { name: 'customer', from: ['customer-approvers:contoso'], needs: 1 },
  ],
  longest: 'PT1H',
};
const revoked = sampleGrant({
  state: 'revoked',
  endedAt: '2026-03-01T11:58:00.000Z',
  endedBy: grace,
  endReason: 'a meeting began',
  sessions: { open: 1, confirmed: 2 },
});

function answer(route: string, items: readonly unknown[], next: string | null = null): void {
  broker.on(route, () => ({ body: { items, next } }));
}

beforeEach(async () => {
  broker = await startScriptedServer();
  terminal = openTerminal({ LATCHKEY_URL: broker.url, LATCHKEY_TOKEN: 'the-token' });
  broker.on(`GET /v1/devices/${oslo}`, () => ({ body: sampleDevice() }));
  answer('GET /v1/profiles', [profile]);
  answer('GET /v1/devices', [sampleDevice(), sampleDevice({ inUse: true, name: 'Bergen boardroom with a long name' })]);
  answer('GET /v1/requests', [
    sampleRequest(),
    sampleRequest({ state: 'lapsed', reason: 'a longer story '.repeat(9) }),
  ]);
  answer('GET /v1/grants', [sampleGrant(), revoked]);
  answer('GET /v1/alarms', [
    { id: newId('alarm', 1), kind: 'review-overdue', subject: revoked.id, since: revoked.endedAt, closedAt: null },
  ]);
  answer('GET /v1/notices', [
    { id: 'ntc_1', kind: 'break-glass', subject: revoked.id, at: revoked.endedAt, text: 'Ada used break-glass' },
  ]);
});
afterEach(async () => {
  await broker.stop();
  terminal.clear();
});

const lists = [
  ['profiles'],
  ['devices'],
  ['requests'],
  ['requests', '--view', 'all'],
  ['grants'],
  ['grants', '--view', 'all'],
  ['alarms'],
  ['notices'],
];

test('every list fits a terminal of 80 columns and of 120, and keeps its ids whole', async () => {
  for (const columns of [80, 120]) {
    for (const line of lists) {
      const { code, stdout, stderr } = await terminal.type(line, { columns, now, env: { NO_COLOR: '1' } });
      assert.equal(code, 0, stderr);
      for (const row of stdout.split('\n'))
        assert.ok(textWidth(row) <= columns, `${line.join(' ')} at ${columns}: ${row}`);
      for (const id of stdout.match(/(dev|req|grt)_\w*…?/g) ?? []) assert.match(id, /^\w{30}$/, line.join(' '));
    }
  }
});

test('a list of requests as its reader sees it', async () => {
  const { stdout } = await terminal.type(['requests', '--view', 'all'], { now });
  const [title, first] = stdout.split('\n');
  assert.match(title!, /^ID +STATE +PROFILE +DEVICES +WHO +FOR/);
  assert.match(first!, /^req_\w+ +pending +remediate +Oslo 3 +Ada/);
});

test('a list of grants says until when, and how each ended', async () => {
  const { stdout } = await terminal.type(['grants'], { columns: 140, now, env: { NO_COLOR: '1' } });
  assert.match(stdout, /active +remediate +Oslo 3 +ends in 30 min/);
  assert.match(stdout, /revoked +remediate +Oslo 3 +2 min ago, 1 session not confirmed +Grace Hopper: a meeting began/);
});

test('a grant is not called ended at its devices before they have said so', async () => {
  const shown = async (changes: object): Promise<string> => {
    const grant = { ...revoked, ...changes };
    broker.on(`GET /v1/grants/${grant.id}`, () => ({ body: grant }));
    return (await terminal.type(['grants', grant.id], { now, env: { NO_COLOR: '1' } })).stdout;
  };
  const open = await shown({});
  assert.match(open, /lasts +revoked by Grace Hopper 2 min ago, 1 session not confirmed: a meeting began/);
  assert.match(open, /sessions +1 not confirmed, 2 ended/);
  const ended = await shown({ sessions: { open: 0, confirmed: 3 } });
  assert.match(ended, /lasts +revoked by Grace Hopper 2 min ago: a meeting began/);
  assert.match(ended, /sessions +3 ended/);
  assert.match(await shown({ state: 'active', endedAt: null }), /sessions +1 open, 2 ended/);
  assert.match(await shown({ state: 'expired', sessions: { open: 2, confirmed: 0 } }), /ran out .*, 2 sessions not/);
  assert.doesNotMatch(await shown({ sessions: { open: 0, confirmed: 0 } }), /sessions/);
});

test('with --json every list is exactly the answer of the API', async () => {
  for (const line of lists) {
    const typed = await terminal.type([...line, '--json'], { columns: 80, env: { FORCE_COLOR: '1' } });
    const [document, ...rest] = jsonLinesOf(typed) as [{ items: unknown[]; next: null }];
    assert.equal(rest.length, 0);
    assert.equal(typed.stderr, '');
    assert.equal(document.next, null);
    assert.ok(document.items.length > 0);
  }
});

test('colour is there on a terminal and nowhere else, and NO_COLOR ends it', async () => {
  const escape = '\u001b[';
  assert.ok((await terminal.type(['grants'], { columns: 100 })).stdout.includes(escape));
  assert.ok(!(await terminal.type(['grants'])).stdout.includes(escape));
  assert.ok((await terminal.type(['grants'], { env: { FORCE_COLOR: '1' } })).stdout.includes(escape));
  assert.ok(!(await terminal.type(['grants'], { columns: 100, env: { NO_COLOR: '1' } })).stdout.includes(escape));
  assert.ok(!(await terminal.type(['grants', '--json'], { columns: 100 })).stdout.includes(escape));
});

test('filters are sent as the contract names them, and --limit follows the cursor', async () => {
  const pages = new Map([
    ['', { items: [sampleRequest(), sampleRequest()], next: 'c1' }],
    ['c1', { items: [sampleRequest()], next: 'c2' }],
  ]);
  broker.on('GET /v1/requests', ({ query }) => ({ body: pages.get(query.get('cursor') ?? '') }));
  const line = [
    'requests',
    '--view',
    'all',
    '--state',
    'pending',
    'granted',
    '--tenant',
    'contoso',
    '--limit',
    '3',
    '--json',
  ];
  const [document] = jsonLinesOf(await terminal.type(line)) as [{ items: unknown[]; next: string }];
  assert.equal(document.items.length, 3);
  assert.equal(document.next, 'c2');
  const [first, second] = broker.calls.map(({ query }) => query);
  assert.deepEqual(first?.getAll('state'), ['pending', 'granted']);
  assert.equal(first?.get('tenant'), 'contoso');
  assert.equal(first?.get('limit'), '3');
  assert.equal(second?.get('limit'), '1');
  assert.equal(second?.get('cursor'), 'c1');
});

test('where there is nothing, a sentence says so and what to do', async () => {
  for (const route of ['profiles', 'devices', 'requests', 'grants', 'alarms', 'notices'])
    answer(`GET /v1/${route}`, []);
  const cases = [
    [['profiles'], /nothing that you may ask for; `latchkey whoami`/],
    [['devices'], /no device is enrolled yet/],
    [['devices', '--q', 'x'], /no device that you can see matches/],
    [['requests'], /not asked for anything yet.*`latchkey profiles`/],
    [['requests', '--view', 'approvable'], /nothing waits for you.*--watch/],
    [['grants'], /hold no grants.*`latchkey request`/],
    [['alarms'], /no alarm is open/],
    [['notices'], /nothing you have to be told/],
  ] as const;
  for (const [line, sentence] of cases) {
    const { code, stdout } = await terminal.type(line);
    assert.equal(code, 0);
    assert.match(stdout, sentence);
    assert.equal(stdout.trimEnd().split('\n').length, 1, stdout);
  }
});

test('one grant in full, and what extend, release, revoke and review send', async () => {
  const grant = sampleGrant({ review: { state: 'due', dueAt: '2026-03-02T12:00:00.000Z', by: null, verdict: null } });
  const path = `/v1/grants/${grant.id}`;
  broker.on(`GET ${path}`, () => ({ body: grant }));
  broker.on(`POST ${path}/extensions`, () => ({ status: 201, body: sampleRequest({ extends: grant.id }) }));
  for (const route of ['release', 'revoke', 'review']) broker.on(`POST ${path}/${route}`, () => ({ body: revoked }));
  assert.match(
    (await terminal.type(['grants', grant.id], { now })).stdout,
    /lasts +ends in 30 min\n.*request.*\n +review +due in 24 h/,
  );
  const cases = [
    [['extend', grant.id, '--for', '1h', '--reason', 'more'], { duration: 'PT1H', reason: 'more' }, /extends +grt_/],
    [['release', grant.id], {}, /→ released/],
    [['revoke', grant.id, '--reason', 'over'], { reason: 'over' }, /→ revoked/],
    [
      ['review', grant.id, '--verdict', 'justified', '--comment', 'ok'],
      { verdict: 'justified', comment: 'ok' },
      /grt_/,
    ],
  ] as const;
  for (const [line, body, shown] of cases) {
    broker.calls.length = 0;
    const typed = await terminal.type(line);
    assert.equal(typed.code, 0, typed.stderr);
    assert.match(typed.stdout, shown);
    assert.deepEqual(broker.calls.find(({ method }) => method === 'POST')?.body, body);
  }
});

test('every command explains itself with an example', async () => {
  const { stdout } = await terminal.type(['--help']);
  const names = [...stdout.matchAll(/^ {2}([a-z]+)(?= .* {2}|$)/gm)]
    .map(([, name]) => name!)
    .filter((name) => name !== 'help');
  assert.ok(names.length >= 19, names.join(' '));
  for (const name of names) {
    const help = await terminal.type([name, '--help']);
    assert.equal(help.code, 0);
    assert.match(help.stdout, new RegExp(`Examples?:\n  latchkey ${name}`), name);
    assert.match(help.stdout, /--json/);
  }
});
