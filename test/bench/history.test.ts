import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { exportJWK } from 'jose';
import { copyLife } from '../../bench/history/copies.ts';
import { liveOnce } from '../../bench/history/life.ts';
import { createSteps } from '../../bench/lifecycle/steps.ts';
import type { Caller, World } from '../../bench/lifecycle/world.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';

const copies = 5;

let broker: TestBroker;
let engineer: Caller;
let other: Caller;
let original: string;

async function callerOf(who: 'ada' | 'ben' | 'chloe'): Promise<Caller> {
  const { body } = await broker.call(who, 'GET', '/v1/me');
  return { id: body.id, token: await broker.issuer.tokenFor(people[who]) };
}

before(async () => {
  broker = await newTestBroker();
  const [lead, device] = [await callerOf('chloe'), broker.contoso.devices[0]!];
  [engineer, other] = [await callerOf('ada'), await callerOf('ben')];
  const world: World = {
    tenant: broker.contoso.id,
    engineers: [engineer],
    leads: [lead],
    devices: [device.id],
    ledgerKey: '',
  };
  const fleetDevice = { id: device.id, jwk: await exportJWK(device.privateKey), hasDoor: false };
  const steps = createSteps(broker.config.publicUrl, world, []);
  const life = { engineer, lead, device: fleetDevice };
  original = (await liveOnce(broker.config.publicUrl, steps, life)).id;
  await copyLife(broker.database.adminUrl, original, {
    cast: new Map<string, readonly string[]>([
      [engineer.id, [other.id]],
      [lead.id, [lead.id]],
      [device.id, broker.contoso.devices.map(({ id }) => id)],
    ]),
    count: copies,
    progress: () => {},
  });
});
after(() => broker.stop());

async function grantsOf(person: string): Promise<string[]> {
  const { rows } = await broker.sql.query<{ id: string }>('SELECT id FROM grants WHERE person = $1 ORDER BY id', [
    person,
  ]);
  return rows.map(({ id }) => id);
}

/** Each entry that speaks of it, without what is another in each life. */
async function entriesOf(grant: string): Promise<string[]> {
  const { status, body } = await broker.call('aud', 'GET', `/v1/ledger/entries?subject=${grant}`);
  assert.equal(status, 200, JSON.stringify(body));
  return (body.entries as { event: object }[]).map(({ event }) =>
    JSON.stringify(event)
      .replaceAll(/"(?:[a-z]{3}_[0-9a-z]{26}|[\w-]{43})"/g, '"…"')
      .replace(/"statement":"[^"]*"/, ''),
  );
}

test('a life that is copied leaves the same entries, in the same order, under ids of its own', async () => {
  const grants = await grantsOf(other.id);
  assert.equal(grants.length, copies);
  assert.deepEqual(await grantsOf(engineer.id), [original]);
  const expected = await entriesOf(original);
  assert.equal(expected.length, 8, expected.join('\n'));
  for (const grant of grants) assert.deepEqual(await entriesOf(grant), expected);
});

test('what a copied life commits to is kept beside the ledger, each text under a commitment of its own', async () => {
  const { rows } = await broker.sql.query<{ person: string; texts: number }>(
    'SELECT person, count(DISTINCT commitment)::integer AS texts FROM disclosures WHERE device IS NOT NULL GROUP BY person',
  );
  const of = (person: string): number => rows.find((row) => row.person === person)?.texts ?? 0;
  assert.ok(of(engineer.id) > 0);
  assert.equal(of(other.id), copies * of(engineer.id));
});

test('a copied life is over, and reads like any other', async () => {
  const [grant] = await grantsOf(other.id);
  const { status, body } = await broker.call('ben', 'GET', `/v1/grants/${grant}`);
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.state, 'released');
  assert.equal(body.person.id, other.id);
});
