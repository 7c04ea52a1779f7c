import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { connect, denied, refuses } from '../support/sql.ts';

let broker: TestBroker;

before(async () => {
  broker = await newTestBroker();
  for (;;) {
    const { rows } = await broker.sql.query('SELECT size FROM ledger_state WHERE size > 3');
    if (rows.length > 0) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // Whatever is refused below is not refused because somebody else has the row.
  await broker.brokers[0]!.stop();
});
after(async () => {
  await Promise.all([broker.issuer.stop(), broker.sql.end()]);
  await broker.database.drop();
});

const rewriting = [
  'UPDATE ledger_entries SET position = position + 1000',
  `UPDATE ledger_entries SET event = 'evt_00000000000000000000000000' WHERE position = 1`,
  `UPDATE ledger_entries SET at = at - interval '1 hour'`,
  'DELETE FROM ledger_entries WHERE position = 0',
  'MERGE INTO ledger_entries AS e USING (VALUES (1)) AS one ON true WHEN MATCHED THEN DELETE',
  'TRUNCATE ledger_entries',
  'TRUNCATE ledger_entries CASCADE',
  'UPDATE ledger_state SET size = size - 1',
  'UPDATE ledger_state SET size = 0, checkpoint = NULL',
  'DELETE FROM ledger_state',
  'TRUNCATE ledger_state',
  `UPDATE ledger_tiles SET hashes = overlay(hashes PLACING '\\x00'::bytea FROM 1) WHERE level = 0`,
  'UPDATE ledger_tiles SET hashes = substring(hashes FOR 32)',
  'DELETE FROM ledger_tiles',
  'TRUNCATE ledger_tiles',
];

const state = async (): Promise<unknown> => {
  const queries = [
    'SELECT * FROM ledger_entries ORDER BY 1',
    'SELECT * FROM ledger_state',
    'SELECT * FROM ledger_tiles',
  ];
  return Promise.all(queries.map(async (query) => (await broker.sql.query(query)).rows));
};

const attackers = [
  ['the broker', () => broker.database.appUrl, ''],
  ['the auditor', () => broker.database.auditorUrl, ''],
  ['the owner of the schema', () => broker.database.adminUrl, ''],
  ['a superuser', () => broker.database.superuserUrl, ''],
  [
    'a superuser who poses as a replica',
    () => broker.database.superuserUrl,
    `SET session_replication_role = 'replica'`,
  ],
] as const;

for (const [who, url, first] of attackers) {
  test(`the ledger cannot be rewritten by ${who}`, async () => {
    const before = await state();
    const client = await connect(url());
    try {
      if (first) await client.query(first);
      for (const statement of rewriting) await refuses(client, statement, { code: denied });
    } finally {
      await client.end();
    }
    assert.deepEqual(await state(), before);
  });
}

test('the broker gives no position that was given before, and files nothing for sequencing by itself', async () => {
  const client = await connect(broker.database.appUrl);
  try {
    const again = `INSERT INTO ledger_entries (position, event, at) SELECT position, 'evt_00000000000000000000000000', at
      FROM ledger_entries LIMIT 1`;
    await refuses(client, again, { constraint: 'ledger_entries_pkey' });
    const twice =
      'INSERT INTO ledger_entries (position, event, at) SELECT position + 1000, event, at FROM ledger_entries LIMIT 1';
    await refuses(client, twice, { constraint: 'event_must_have_one_position' });
    const filed = `INSERT INTO ledger_inbox (event, at, leaf) SELECT event, at, '' FROM ledger_entries LIMIT 1`;
    await refuses(client, filed, { code: denied });
    await refuses(client, 'UPDATE ledger_inbox SET leaf = leaf', { code: denied });
    await refuses(client, 'ALTER TABLE audit_events DISABLE TRIGGER every_event_is_sequenced', { code: denied });
  } finally {
    await client.end();
  }
});
