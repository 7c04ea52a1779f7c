import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import type { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import {
  removeAgentDirectories,
  signedIn,
  spawnLatchkey,
  startAgentProcess,
  writeScript,
  type AgentProcess,
  type GrantBody,
} from '../../support/agent-process.ts';
import { newTestBroker, people, type TestBroker } from '../../support/broker.ts';
import { eventually, isAlive, pidIn } from './support.ts';

let broker: TestBroker;
let agent: AgentProcess;
let ada: Record<string, string>;
let grant: GrantBody;
let pidFile: string;

before(async () => {
  broker = await newTestBroker();
  const stubborn = await writeScript(
    'stubborn',
    `trap '' TERM\necho $$ > "$1"\necho working\nwhile :; do sleep 1; done`,
  );
  pidFile = `${stubborn}.pid`;
  const about = { dataClass: 'System Metadata', timeLimit: 'PT1M' };
  agent = await startAgentProcess(broker, {
    actionSets: ['latchkey:linux'],
    values: { roomApp: 'room-app.service' },
    dryRun: true,
    actions: {
      'app.restart': { ...about, description: 'does not end by itself', command: [stubborn, pidFile] },
      'usb.reset': {
        ...about,
        description: 'tells what it was given',
        command: ['/bin/echo', '--port={port}', { if: 'label', arguments: ['--label', '{label}'] }],
        parameters: {
          port: { type: 'integer', description: 'which one', minimum: 1, maximum: 4, required: true },
          label: { type: 'text', description: 'what to call it', pattern: '[a-z ]+', example: 'front left' },
        },
      },
    },
  });
  ada = await signedIn(broker, people.ada);
});
after(async () => {
  await agent.stop();
  await broker.checkLedger();
  await broker.stop();
  await removeAgentDirectories();
});
beforeEach(async () => {
  grant = await broker.grant('ada', 'remediate', { devices: [agent.device] });
});

const run = (...line: string[]) => spawnLatchkey(['run', agent.device, ...line, '--grant', grant.id], ada);
const endOf = async (id: string) =>
  (await broker.events('session.ended')).find((event) => event.grant === id) as Record<string, unknown> | undefined;

test('an engineer runs an action of the shipped set on a device, over TLS, and all of it is in the ledger', async () => {
  const { code, stdout, stderr } = await run('device.inspect').ended;
  assert.equal(code, 0, stderr);
  const facts = JSON.parse(stdout) as { kernel: string; uptimeSeconds: number };
  assert.equal(facts.kernel, (await readFile('/proc/sys/kernel/osrelease', 'utf8')).trim());
  await eventually(async () => (await endOf(grant.id)) !== undefined);
  const about = (await broker.events('session.started', 'action.performed', 'session.ended')).filter(
    (event) => event.grant === grant.id,
  );
  assert.deepEqual(
    about.map(({ type }) => type),
    ['session.started', 'action.performed', 'session.ended'],
  );
});

test('the door shows the certificate that the broker lists, made by itself and good for months', async () => {
  const { body } = await broker.call('ada', 'GET', `/v1/devices/${agent.device}`);
  assert.equal(body.door.url, agent.doorUrl);
  const { hostname, port } = new URL(agent.doorUrl);
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
  const shown = await new Promise<X509Certificate>((resolve) =>
    socket.once('secureConnect', () => resolve(socket.getPeerX509Certificate()!)),
  );
  assert.equal(socket.getProtocol(), 'TLSv1.3');
  socket.destroy();
  const digest = Buffer.from(shown.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
  assert.equal(digest, body.door.certificateSha256);
  assert.ok(shown.verify(shown.publicKey));
  assert.ok(shown.validToDate.getTime() > Date.now() + 60 * 86_400_000);
  const kept = JSON.parse(await readFile(`${agent.stateDirectory}/door-certificate.json`, 'utf8')) as { key: string };
  assert.match(kept.key, /PRIVATE KEY/);
});

test('arguments that an action does not take are told one by one, before anything is begun', async () => {
  const { code, stdout, stderr } = await run('usb.reset', 'port=9', 'label=--force', 'more=1').ended;
  assert.equal(code, 122);
  assert.equal(stdout, '');
  assert.match(stderr, /\/args\/port: is a whole number from 1 to 4/);
  assert.match(stderr, /\/args\/label: may not begin with a hyphen/);
  assert.match(stderr, /\/args\/more: is not known; there are `port`, `label`/);
  assert.deepEqual(
    (await broker.events('action.performed')).filter((event) => event.grant === grant.id),
    [],
  );
});

test('connect explains what a session allows, and does it', async () => {
  const { child, ended } = spawnLatchkey(['connect', agent.device, '--grant', grant.id], ada);
  child.stdin!.end('help\nusb.reset port=2 label=lectern\ndevice.reboot dryRun=true\n');
  const { code, stdout, stderr } = await ended;
  assert.equal(code, 0, stderr);
  assert.match(stderr, / {2}usb\.reset\n {6}tells what it was given \(System Metadata; at most 1 min\)\n/);
  assert.match(stderr, / {6}port=1…4 {2}which one\n {6}\[label=TEXT\] {2}what to call it \(such as front left\)\n/);
  assert.match(stderr, / {2}device\.reboot\n.*\n {6}\[dryRun=true\] {2}only say what would be done\n/);
  assert.match(stdout, /^--port=2 --label lectern\nwould restart the device by /);
});

test('revoking cuts what runs, kills what ignores TERM, says who it was, and the device confirms it', async () => {
  const { ended } = run('app.restart');
  const pid = await pidIn(pidFile);
  const revoked = await broker.call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'a meeting begins' });
  assert.equal(revoked.status, 200);
  const { code, stdout, stderr } = await ended;
  assert.deepEqual([code, stdout], [123, 'working\n']);
  assert.match(stderr, /ended: revoked by Chloé Marchetti at \d{4}-\d\d-\d\d [\d:]{8} UTC: a meeting begins\n/);
  await eventually(async () => (await endOf(grant.id)) !== undefined);
  assert.equal(await isAlive(pid), false);
});

test('SIGTERM ends sessions and what runs in them, tells the broker, and ends the agent in time with 0', async () => {
  const { ended } = run('app.restart');
  const pid = await pidIn(pidFile);
  const before = Date.now();
  assert.equal(await agent.stop(), 0);
  assert.ok(Date.now() - before < 10_000);
  assert.equal(await isAlive(pid), false);
  const { code, stderr } = await ended;
  assert.equal(code, 123, stderr);
  assert.match(stderr, /ended: the agent on the device was stopped/);
  assert.ok(await endOf(grant.id), 'the broker was told before the end');
  agent = await agent.again();
});
