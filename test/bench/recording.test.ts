import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { mentions, namesOf, recordTransactions, refresh, type Transaction } from '../../bench/lifecycle/recording.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';

/** Tables that a lifecycle writes to. */
const tables = [
  'requests',
  'decisions',
  'grants',
  'grant_devices',
  'credentials',
  'used_proofs',
  'idempotent_answers',
  'notices',
  'disclosures',
  'audit_events',
];

let broker: TestBroker;
let recorded: Transaction[];
let recordedAt: number;
let grown: Record<string, number>;

async function rowCounts(): Promise<Record<string, number>> {
  const counts = tables.map((table) => `(SELECT count(*) FROM ${table})::integer AS ${table}`);
  const { rows } = await broker.sql.query<Record<string, number>>(`SELECT ${counts.join(', ')}`);
  return rows[0]!;
}

function growth(from: Record<string, number>, to: Record<string, number>): Record<string, number> {
  return Object.fromEntries(tables.map((table) => [table, to[table]! - from[table]!]));
}

async function lifecycle(): Promise<void> {
  const key = await newEngineerKey();
  const once = () => ({ headers: { 'idempotency-key': randomUUID() } });
  const wish = { profile: 'remediate', devices: [broker.contoso.devices[0]!.id], duration: 'PT10M', reason: 'frozen' };
  const asked = await broker.call('ada', 'POST', '/v1/requests', wish, once());
  const path = `/v1/requests/${asked.body.id}/decisions`;
  const approved = await broker.call('chloe', 'POST', path, { verdict: 'approve', comment: 'go ahead' }, once());
  const mint = `/v1/grants/${approved.body.grant.id}/credentials`;
  const dpop = await key.proof('POST', broker.config.publicUrl + mint);
  const headers = { ...once().headers, dpop };
  const minted = await broker.call('ada', 'POST', mint, { device: wish.devices[0] }, { headers });
  assert.equal(minted.status, 201, JSON.stringify(minted.body));
}

before(async () => {
  broker = await newTestBroker();
  await lifecycle();
  const [ada, chloe] = await Promise.all(['ada', 'chloe'].map((who) => broker.call(who as 'ada', 'GET', '/v1/me')));
  const persons = new Set<string>([ada!.body.id, chloe!.body.id]);
  const earlier = await rowCounts();
  const transactions = await recordTransactions(lifecycle);
  recordedAt = Date.now();
  grown = growth(earlier, await rowCounts());
  recorded = transactions.filter((transaction) => mentions(transaction, persons));
});
after(() => broker.stop());

test('three transactions make a lifecycle, each whole', () => {
  assert.equal(recorded.length, 3, namesOf(recorded));
  for (const transaction of recorded) {
    assert.match(transaction[0]!.text, /^BEGIN/);
    assert.equal(transaction.at(-1)!.text, 'COMMIT');
  }
});

test('what is replayed has the statements of the broker, and every row that a lifecycle leaves', async () => {
  const again = refresh(recorded, recordedAt, new Map());
  assert.equal(namesOf(again), namesOf(recorded));
  const earlier = await rowCounts();
  const client = await broker.brokers[0]!.context.pool.connect();
  try {
    for (const { name, text, values } of again.flat()) {
      await client.query({ ...(name !== undefined && { name }), text, values: [...values] });
    }
  } finally {
    client.release();
  }
  assert.deepEqual(growth(earlier, await rowCounts()), grown);
  assert.ok(
    Object.values(grown).every((rows) => rows > 0),
    JSON.stringify(grown),
  );
});

test('people and devices can be others, everywhere in the lifecycle', () => {
  const device = broker.contoso.devices[0]!.id;
  const other = broker.contoso.devices[1]!.id;
  const again = refresh(recorded, recordedAt, new Map([[device, other]]));
  assert.ok(mentions(recorded.flat(), new Set([device])));
  assert.ok(!mentions(again.flat(), new Set([device])));
  assert.ok(mentions(again.flat(), new Set([other])));
});
