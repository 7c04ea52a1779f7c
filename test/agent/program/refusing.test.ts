import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '../../../src/domain/ids.ts';
import { spawnLatchkey, type Ended } from '../../support/agent-process.ts';

let directory: string;
before(async () => void (directory = await mkdtemp(join(tmpdir(), 'latchkey-refusing-'))));
after(() => rm(directory, { recursive: true }));

const inspect = { description: 'x', dataClass: 'System Metadata', command: ['latchkey:inspect'], timeLimit: 'PT1M' };

/** Writes a configuration that lacks nothing but what the test takes from it. */
async function configured(changes: object): Promise<string> {
  const file = join(directory, 'agent.json');
  const whole = {
    brokerUrl: 'http://127.0.0.1:9',
    stateDirectory: join(directory, 'state'),
    enrolmentCode: 'code',
    door: { host: '127.0.0.1', port: 0 },
    actions: { 'device.inspect': inspect },
  };
  await writeFile(file, JSON.stringify({ ...whole, ...changes }));
  return file;
}

const start = async (changes: object): Promise<Ended> =>
  spawnLatchkey(['agent', '--config', await configured(changes)], {}).ended;

test('an agent that is not told everything does not start, and says all that is wrong', async () => {
  const ended = await start({ brokerUrl: undefined, door: { host: '0.0.0.0', port: 0 }, unknown: 1 });
  assert.equal(ended.code, 2);
  assert.equal(ended.stdout, '');
  for (const line of [/\/brokerUrl: is missing/, /\/door\/url: is missing/, /\/unknown: is not known/]) {
    assert.match(ended.stderr, line);
  }
  assert.equal((await spawnLatchkey(['agent'], {}).ended).code, 2);
});

test('a device that is not enrolled needs a code, from a file that nobody else can read', async () => {
  const without = await start({ enrolmentCode: undefined });
  assert.deepEqual([without.code, /\/enrolmentCode: is missing/.test(without.stderr)], [2, true], without.stderr);
  const enrolmentCodeFile = join(directory, 'code');
  const gone = await start({ enrolmentCode: undefined, enrolmentCodeFile });
  assert.match(gone.stderr, /\/enrolmentCodeFile: .* cannot be read \(ENOENT\)/);
  await writeFile(enrolmentCodeFile, 'code\n');
  await chmod(enrolmentCodeFile, 0o644);
  const open = await start({ enrolmentCode: undefined, enrolmentCodeFile });
  assert.deepEqual([open.code, /is open to every user/.test(open.stderr)], [2, true], open.stderr);
});

test('a broker that cannot be reached at the first start is told, with exit code 1', async () => {
  const { code, stderr } = await start({});
  assert.equal(code, 1);
  assert.match(stderr, /latchkey: the broker cannot be reached at `http:\/\/127\.0\.0\.1:9`/);
});

test('an agent that waits for a broker that says nothing still ends in time, and keeps others off its state', async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const brokerUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const stateDirectory = join(directory, 'enrolled');
  const [device, tenant] = [newId('device', Date.now()), newId('tenant', Date.now())];
  const enrolment = { device, tenant, name: 'x', issuer: brokerUrl, jwksUri: `${brokerUrl}/jwks`, ledgerKey: null };
  await mkdir(stateDirectory);
  await writeFile(join(stateDirectory, 'device.json'), JSON.stringify(enrolment));
  const changes = { brokerUrl, stateDirectory };
  const { child, ended } = spawnLatchkey(['agent', '--config', await configured(changes)], {});
  const connected = new Promise((resolve) => silent.once('connection', resolve));
  await Promise.race([connected, sleep(30_000)]);
  const second = await start(changes);
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`is in use by process ${child.pid}`));
  const asked = Date.now();
  child.kill('SIGTERM');
  const { code } = await ended;
  assert.ok(Date.now() - asked < 10_000);
  assert.equal(code, 0);
  silent.closeAllConnections();
  silent.close();
});
