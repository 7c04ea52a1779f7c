import assert from 'node:assert/strict';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { decide, eventually, mint, ok, policiesCopy, reasonsOf, refused } from './support/scenario.ts';

/** The bundle is replaced while two brokers run. */
const policies = await policiesCopy();
const profile = (name: string): string => join(policies.directory, 'profiles', `${name}.json`);
let broker: TestBroker;
before(async () => {
  broker = await newTestBroker({ brokers: 2, policies: policies.directory });
});
after(async () => {
  try {
    await broker.checkLedger();
  } finally {
    await broker.stop();
    await policies.remove();
  }
});

const status = (side: number) => ok(broker.call('ada', 'GET', '/v1/policies', undefined, { broker: side }));
const loaded = async (): Promise<string[]> => (await broker.events('policy.loaded')).map(({ policy }) => policy);
const onBoth = async (wanted: (now: { digest: string; error: string | null }) => boolean): Promise<void> => {
  for (const side of [0, 1]) await eventually(async () => wanted(await status(side)), 20_000);
};

/** Writes a file as editors do: whole, or not at all. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${policies.directory}-next`, text);
  await rename(`${policies.directory}-next`, path);
}

test('a changed profile is in force soon, without a restart, and what was asked before keeps its stages', async () => {
  const { digest } = await status(0);
  const shipped = await readFile(profile('remediate'), 'utf8');
  const before = await broker.ask('ada', 'remediate');
  const stricter = JSON.parse(shipped);
  stricter.longest = 'PT5M';
  stricter.stages.push({ name: 'privacy', from: ['privacy-office'], needs: 1 });
  await replace(profile('remediate'), JSON.stringify(stricter));
  await onBoth((now) => now.digest !== digest && now.error === null);

  const wish = { profile: 'remediate', devices: before.devices, duration: 'PT10M', reason: 'now' };
  assert.deepEqual(reasonsOf(await broker.call('ada', 'POST', '/v1/requests', wish)), ['longer-than-longest']);
  const after = await broker.ask('ada', 'remediate', { duration: 'PT5M' });
  assert.deepEqual(
    after.stages.map(({ name }: { name: string }) => name),
    ['lead', 'privacy'],
  );
  assert.equal((await ok(decide(broker, 'chloe', before))).state, 'granted');
  const replaced = (await status(0)).digest;
  assert.deepEqual(await loaded(), [digest, replaced], 'two brokers that load the same make one fact of it');
  const { rows } = await broker.sql.query('SELECT digest FROM policy_bundles');
  assert.equal(rows.length, 2, 'each bundle is kept whole, so that its decisions can be made again');
  await replace(profile('remediate'), shipped);
  await onBoth((now) => now.digest === digest);
  assert.deepEqual(await loaded(), [digest, replaced, digest], 'what comes back into force is news once more');
});

test('a broken bundle is refused loudly, and the last good one stays', async () => {
  const { digest, loadedAt } = await status(0);
  const path = join(policies.directory, 'requesting.cedar');
  const shipped = await readFile(path, 'utf8');
  await replace(path, `${shipped}\npermit (principal, action, resource) when { principal.teams.size() };`);
  await onBoth((now) => now.error !== null);
  const refusedBundle = await status(0);
  assert.match(refusedBundle.error, /requesting\.cedar/);
  assert.deepEqual([refusedBundle.digest, refusedBundle.loadedAt], [digest, loadedAt]);
  assert.ok(broker.logLines.some((line) => 'level' in line && line.level === 'error'));
  refused(
    await broker.call('zed', 'POST', '/v1/requests', {
      profile: 'diagnose',
      devices: [broker.contoso.devices[0]!.id],
      duration: 'PT1M',
      reason: 'x',
    }),
    403,
  );
  assert.equal((await broker.ask('ada', 'diagnose')).state, 'granted');
  await replace(path, shipped);
  await onBoth((now) => now.error === null);
  assert.equal((await status(0)).digest, digest);
});

test('a rule that is added holds for grants that are already there, at the next credential', async () => {
  const { digest } = await status(0);
  const grant = await broker.grant('ada', 'diagnose');
  assert.equal((await mint(broker, 'ada', grant)).status, 201);
  const path = join(policies.directory, 'frozen.cedar');
  await replace(
    path,
    `@id("change-freeze")\n@message("nothing is touched during the freeze")\n@remedy("wait until it is over")\nforbid (principal, action in [Action::"request", Action::"mint"], resource);\n`,
  );
  await onBoth((now) => now.digest !== digest && now.error === null);
  assert.deepEqual(reasonsOf(await mint(broker, 'ada', grant)), ['change-freeze']);
  await rm(path);
  await onBoth((now) => now.digest === digest);
  assert.notEqual((await mint(broker, 'ada', grant)).status, 403);
});

test('a profile that is taken away gives no more credentials and cannot be asked for', async () => {
  const { digest } = await status(0);
  const grant = await broker.grant('ada', 'diagnose');
  const shipped = await readFile(profile('diagnose'), 'utf8');
  await rm(profile('diagnose'));
  await onBoth((now) => now.digest !== digest);
  refused(await mint(broker, 'ada', grant), 403);
  const wish = { profile: 'diagnose', devices: grant.devices, duration: 'PT1M', reason: 'now' };
  refused(await broker.call('ada', 'POST', '/v1/requests', wish), 400, '/profile');
  assert.equal((await ok(broker.call('ada', 'GET', `/v1/grants/${grant.id}`))).state, 'active');
  await ok(broker.call('ada', 'POST', `/v1/grants/${grant.id}/release`));
  await replace(profile('diagnose'), shipped);
  await onBoth((now) => now.digest === digest);
});
