import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAgent, type Action, type Agent } from '../../src/agent/index.ts';
import type { AccessRequest, Grant } from '../../src/cli/answers.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';
import { jsonLinesOf, openTerminal, type Terminal, type TerminalOptions, type Transcript } from './support/terminal.ts';

// The command lines of several people against a real broker on a real database, and a real agent at a device's door.

type Name = 'ada' | 'chloe' | 'carmen' | 'zed' | 'aud' | 'nobody';

let broker: TestBroker;
let agent: Agent;
let directory: string;
const terminals = new Map<Name, Terminal>();

const inspect: Action = async (_args, { stdout }) => {
  await stdout('the panel is frozen\n');
  return 0;
};
const reset: Action = async (_args, { signal, stdout }) => {
  await stdout('resetting\n');
  await sleep(60_000, undefined, { signal }).catch(() => undefined);
  return 0;
};

before(async () => {
  broker = await newTestBroker();
  directory = await mkdtemp(join(tmpdir(), 'latchkey-story-'));
  const { body } = await broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id });
  agent = await startAgent({
    brokerUrl: broker.config.publicUrl,
    stateDirectory: directory,
    enrolmentCode: (body as { code: string }).code,
    actions: new Map([
      ['device.inspect', inspect],
      ['usb.reset', reset],
    ]),
    facts: () => ({ hostname: 'oslo-3', serial: 'SN-OSLO-3', make: 'Crestwood', model: 'Panel 10' }),
    inUse: () => false,
  });
});
after(async () => {
  await agent.stop();
  await broker.checkLedger();
  await broker.stop();
  for (const terminal of terminals.values()) terminal.clear();
  await rm(directory, { recursive: true, force: true });
});

async function as(name: Name, line: readonly string[], options?: TerminalOptions): Promise<Transcript> {
  if (!terminals.has(name)) {
    const token = await broker.issuer.tokenFor(people[name]);
    terminals.set(name, openTerminal({ LATCHKEY_URL: broker.config.publicUrl, LATCHKEY_TOKEN: token }));
  }
  return terminals.get(name)!.type(line, options);
}

async function json<T>(name: Name, line: readonly string[]): Promise<T> {
  const typed = await as(name, [...line, '--json']);
  assert.equal(typed.code, 0, typed.stderr);
  return jsonLinesOf(typed)[0] as T;
}

const ask = (profile: string, ...more: string[]): string[] => [
  'request',
  profile,
  'oslo-3',
  '--for',
  '10m',
  '--reason',
  'panel frozen',
  ...more,
];

test('who one is, what one may ask for, and which devices there are', async () => {
  assert.match((await as('ada', ['whoami'])).stdout, /Ada Okafor +per_\w+\n.*teams +room-ops/s);
  assert.match((await as('ada', ['profiles'])).stdout, /remediate +device\.inspect.*lead: room-leads +1 h/);
  assert.match((await as('ada', ['devices', '--q', 'oslo'])).stdout, /oslo-3 +dev_\w+ +free/);
});

test('a refusal names the rule, and a dry run records nothing', async () => {
  const refused = await as('zed', ask('remediate'));
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /training/);
  assert.match(refused.stderr, /\([a-z-]+\)/);
  const dry = await as('ada', ask('remediate', '--dry-run'));
  assert.equal(dry.code, 0, dry.stderr);
  assert.match((await as('ada', ['requests'])).stdout, /not asked for anything yet/);
});

test('one waits, another approves part of it, and the first is told at once', async () => {
  const waiting = as('ada', ask('remediate', '--ticket', 'INC1', '--wait'));
  let approvable: readonly AccessRequest[] = [];
  for (let tries = 0; tries < 50 && approvable.length === 0; tries++) {
    await sleep(100);
    approvable = (await json<{ items: AccessRequest[] }>('chloe', ['requests', '--view', 'approvable'])).items;
  }
  const { id } = approvable[0]!;
  assert.match((await as('chloe', ['requests', id])).stdout, /reason +panel frozen \(INC1\)\n/);
  const own = await as('ada', ['approve', id]);
  assert.equal(own.code, 3);
  const approved = await as('chloe', ['approve', id, '--scopes', 'device.inspect,usb.reset', '--comment', 'no reboot']);
  assert.equal(approved.code, 0, approved.stderr);
  assert.match(approved.stdout, /→ granted; it ends in 10 min/);
  const typed = await waiting;
  assert.equal(typed.code, 0, typed.stderr);
  assert.match(typed.stdout, /lead +approved by Chloé Marchetti only device\.inspect, usb\.reset, “no reboot”/);
  const late = await as('chloe', ['deny', id]);
  assert.equal(late.code, 1);
  assert.match(late.stderr, /already `granted`/);
});

test('what was granted works at the door, what was not does not', async () => {
  assert.deepEqual(await as('ada', ['run', 'oslo-3', 'device.inspect']), {
    code: 0,
    stdout: 'the panel is frozen\n',
    stderr: '',
  });
  const beyond = await as('ada', ['run', 'oslo-3', 'device.reboot']);
  assert.equal(beyond.code, 121);
  assert.match(beyond.stderr, /no active grant for `device\.reboot`.*latchkey request remediate/s);
  const connected = await as('ada', ['connect', 'oslo-3'], { stdin: 'device.inspect\ndevice.inspect\n' });
  assert.equal(connected.stdout, 'the panel is frozen\n'.repeat(2));
  assert.equal((await as('chloe', ['run', 'oslo-3', 'device.inspect'])).code, 121);
});

test('more time is asked for like access itself', async () => {
  const [grant] = (await json<{ items: Grant[] }>('ada', ['grants', '--state', 'active'])).items;
  const extension = await json<AccessRequest>('ada', ['extend', grant!.id, '--for', '5m', '--reason', 'not done']);
  assert.equal(extension.extends, grant!.id);
  await json('chloe', ['approve', extension.id]);
  const extended = await json<Grant>('ada', ['grants', grant!.id]);
  assert.equal(Date.parse(extended.expiresAt) - Date.parse(grant!.expiresAt), 300_000);
});

test('revoking cuts what runs, and says by whom and why', async () => {
  const [grant] = (await json<{ items: Grant[] }>('ada', ['grants', '--state', 'active'])).items;
  const begun = Promise.withResolvers<void>();
  const running = as('ada', ['run', 'oslo-3', 'usb.reset'], { onStdout: () => begun.resolve() });
  await begun.promise;
  assert.equal((await as('ada', ['revoke', grant!.id, '--reason', 'mine'])).code, 3);
  const revoked = await as('chloe', ['revoke', grant!.id, '--reason', 'the meeting began']);
  assert.match(revoked.stdout, /→ revoked/);
  const typed = await running;
  assert.equal(typed.code, 123, typed.stderr);
  assert.equal(typed.stdout, 'resetting\n');
  assert.match(typed.stderr, /ended: .*revoked by Chloé Marchetti .*: the meeting began/);
  assert.match((await as('ada', ['grants'])).stdout, /revoked +remediate +oslo-3/);
});

test('a request is taken back, a grant without stages is given back', async () => {
  const request = await json<AccessRequest>('ada', ask('remediate'));
  assert.match((await as('ada', ['cancel', request.id])).stdout, /is cancelled/);
  const { grant } = await json<AccessRequest>('ada', ask('diagnose'));
  assert.match((await as('ada', ['release', grant!.id])).stdout, /→ released/);
  assert.equal((await as('ada', ['release', grant!.id])).code, 1);
});

test('break-glass is told to those who must know, and reviewed by one of them', async () => {
  const asked = await json<AccessRequest>('chloe', ask('break-glass'));
  assert.equal(asked.state, 'granted');
  assert.match((await as('carmen', ['notices'])).stdout, /ago|now/);
  const reviewed = await as('carmen', [
    'review',
    asked.grant!.id,
    '--verdict',
    'justified',
    '--comment',
    'it was down',
  ]);
  assert.equal(reviewed.code, 0, reviewed.stderr);
  assert.match(reviewed.stdout, /review +justified, by Carmen Ortiz/);
  assert.match((await as('aud', ['alarms'])).stdout, /no alarm is open/);
});

test('what one may not see, and a token that is none, end as the contract says', async () => {
  assert.equal((await as('ada', ['alarms'])).code, 3);
  const [grant] = (await json<{ items: Grant[] }>('chloe', ['grants'])).items;
  assert.equal((await as('ada', ['grants', grant!.id])).code, 1);
  const stranger = await as('ada', ['whoami'], { env: { LATCHKEY_TOKEN: 'not-a-token' } });
  assert.equal(stranger.code, 4);
  assert.match(stranger.stderr, /latchkey login http/);
});
