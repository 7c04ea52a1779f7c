import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import type { LedgerSource } from '../../src/ledger/audit-source.ts';
import { openLedgerDatabase } from '../../src/store/ledger-audit.ts';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { connect } from '../support/sql.ts';

const size = 15_000;
const gone = 7_777;
/** Some are so long that a batch of them is larger than its memory was. */
const textOf = (position: number): string =>
  `${position} ${'x'.repeat(position % 10_000 > 8_000 ? 2_000 : position % 90)}`;

let database: TestDatabase;
let source: LedgerSource;
before(async () => {
  database = await newTestDatabase();
  const client = await connect(database.superuserUrl);
  await client.query(`
    SET session_replication_role = 'replica';
    CREATE TEMPORARY TABLE made AS SELECT n AS position, 'evt_' || lpad(n::text, 26, '0') AS id, now() AS at
      FROM generate_series(0::bigint, ${size} - 1) n;
    INSERT INTO audit_events (id, at, type, tenant, bytes)
      SELECT id, at, 'request.submitted', NULL, convert_to(position || ' ' ||
        repeat('x', (CASE WHEN position % 10000 > 8000 THEN 2000 ELSE position % 90 END)::integer), 'UTF8')
      FROM made WHERE position <> ${gone};
    INSERT INTO ledger_entries (position, event, at) SELECT position, id, at FROM made;`);
  await client.end();
  source = await openLedgerDatabase(database.auditorUrl);
});
after(async () => {
  await source.close();
  await database.drop();
});

/** What is read, each batch looked at only after those that follow it have had time to come. */
async function read(from: number, to: number): Promise<(string | null)[]> {
  const texts: (string | null)[] = [];
  for await (const batch of source.entries(from, to)) {
    await delay(10);
    for (const bytes of batch) texts.push(bytes && Buffer.from(bytes).toString('utf8'));
  }
  return texts;
}
const expected = (from: number, to: number): (string | null)[] =>
  Array.from({ length: to - from }, (_, place) => (from + place === gone ? null : textOf(from + place)));

test('every entry is read as it is, in order, however slowly its batch is looked at', async () => {
  assert.deepEqual(await read(0, size), expected(0, size));
});

test('two readers of one source do not get into each other’s way', async () => {
  const [one, two] = await Promise.all([read(1_000, 9_000), read(6_500, size)]);
  assert.deepEqual(one, expected(1_000, 9_000));
  assert.deepEqual(two, expected(6_500, size));
});

test('whoever stops early may begin again', async () => {
  for await (const [first] of source.entries(5_000, size)) {
    assert.equal(Buffer.from(first!).toString('utf8'), textOf(5_000));
    break;
  }
  assert.deepEqual(await read(14_000, size), expected(14_000, size));
});
