import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Client } from 'pg';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { connect, denied, forgedEvent, insertEvent, refuses } from '../support/sql.ts';

let database: TestDatabase;
let superuser: Client;
/** Partitions, oldest first; the first holds the event. */
let partitions: string[];

before(async () => {
  database = await newTestDatabase();
  superuser = await connect(database.superuserUrl);
  await superuser.query(insertEvent, [...forgedEvent()]);
  const { rows } = await superuser.query<{ name: string }>(
    `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass ORDER BY 1`,
  );
  partitions = rows.map((row) => row.name);
});
after(async () => {
  await superuser.end();
  await database.drop();
});

const history = async (): Promise<string> => {
  const { rows } = await superuser.query<{ digest: string }>(
    `SELECT md5(string_agg(id || at::text || type || encode(bytes, 'hex'), ',' ORDER BY id)) AS digest FROM audit_events`,
  );
  return rows[0]!.digest;
};

/** Statements that would change what happened, in a table that holds it. */
const rewriting = (table: string): string[] => [
  `UPDATE ${table} SET bytes = '{}'`,
  `UPDATE ${table} SET type = 'grant.expired', at = at + interval '1 month'`,
  `UPDATE ONLY ${table} SET tenant = 'ten_00000000000000000000000000'`,
  `DELETE FROM ${table}`,
  `DELETE FROM ${table} USING persons RIGHT JOIN tenants ON true RIGHT JOIN policy_bundles ON true RIGHT JOIN (VALUES (1)) AS one ON true`,
  `WITH gone AS (DELETE FROM ${table} RETURNING *) SELECT count(*) FROM gone`,
  `MERGE INTO ${table} AS e USING (VALUES (1)) AS one ON true WHEN MATCHED THEN DELETE`,
  `MERGE INTO ${table} AS e USING (VALUES (1)) AS one ON true WHEN MATCHED THEN UPDATE SET bytes = '{}'`,
  `INSERT INTO ${table} SELECT * FROM ${table} ON CONFLICT (id, at) DO UPDATE SET bytes = '{}'`,
  `TRUNCATE ${table}`,
  `TRUNCATE ${table} CASCADE`,
  `TRUNCATE ${table} RESTART IDENTITY CASCADE`,
];

/** On an empty table or by `ONLY` on a parent, these touch no row: there is nothing to refuse but by rights. */
const touchesRows = (statement: string): boolean => !statement.includes('TRUNCATE') && !statement.includes('ONLY');

const byTrigger = { code: denied, message: /what happened stays/ };

describe('history cannot be rewritten', () => {
  const owners = [
    ['the owner of the schema', () => database.adminUrl, ''],
    ['a superuser', () => database.superuserUrl, ''],
    ['a superuser who poses as a replica', () => database.superuserUrl, "SET session_replication_role = 'replica'"],
  ] as const;
  for (const [who, url, first] of owners) {
    test(`by ${who}, in the table or in any partition of it`, async () => {
      const before = await history();
      const client = await connect(url());
      try {
        if (first) await client.query(first);
        for (const statement of rewriting('audit_events').filter((each) => !each.includes('ONLY'))) {
          await refuses(client, statement, byTrigger);
        }
        for (const statement of rewriting(partitions[0]!)) await refuses(client, statement, byTrigger);
        for (const partition of partitions.slice(1)) {
          for (const statement of rewriting(partition).filter((each) => !touchesRows(each) && !each.includes('ONLY'))) {
            await refuses(client, statement, byTrigger);
          }
        }
      } finally {
        await client.end();
      }
      assert.equal(await history(), before);
    });
  }

  test('in a partition of a coming month, once it holds something', async () => {
    const { rows } = await superuser.query<{ now: Date }>('SELECT clock_timestamp() AS now');
    for (const [ahead, partition] of partitions.entries()) {
      const at = new Date(rows[0]!.now);
      at.setUTCDate(1);
      at.setUTCMonth(at.getUTCMonth() + ahead);
      await superuser.query('BEGIN');
      await superuser.query(insertEvent, [...forgedEvent(at)]);
      await superuser.query('SET LOCAL ROLE latchkey_admin');
      for (const statement of rewriting(partition)) {
        await superuser.query('SAVEPOINT attack');
        await assert.rejects(superuser.query(statement), /what happened stays/, statement);
        await superuser.query('ROLLBACK TO SAVEPOINT attack');
      }
      await superuser.query('ROLLBACK');
    }
  });

  const others = [
    ['the broker', () => database.appUrl],
    ['the auditor', () => database.auditorUrl],
  ] as const;
  for (const [who, url] of others) {
    test(`by ${who}, who lacks every right to`, async () => {
      const before = await history();
      const client = await connect(url());
      try {
        for (const table of ['audit_events', ...partitions]) {
          for (const statement of rewriting(table)) await refuses(client, statement, { code: denied });
          for (const statement of dismantling(table)) await refuses(client, statement, { code: denied });
        }
        await refuses(client, "SET session_replication_role = 'replica'", { code: denied });
        await refuses(client, `ALTER TABLE audit_events DETACH PARTITION ${partitions[0]}`, { code: denied });
      } finally {
        await client.end();
      }
      assert.equal(await history(), before);
    });
  }
});

/** Statements that would take the guards away, or the table. */
const dismantling = (table: string): string[] => [
  `DROP TABLE ${table}`,
  `ALTER TABLE ${table} DISABLE TRIGGER ALL`,
  `ALTER TABLE ${table} DISABLE TRIGGER history_rows_stay`,
  `ALTER TABLE ${table} DISABLE RULE anything`,
  `DROP TRIGGER history_is_not_truncated ON ${table}`,
  `ALTER TABLE ${table} RENAME TO something`,
  `ALTER TABLE ${table} ADD COLUMN more text`,
  `ALTER TABLE ${table} OWNER TO CURRENT_USER`,
  `ALTER TABLE ${table} SET SCHEMA pg_temp`,
  `CREATE RULE nothing AS ON INSERT TO ${table} DO INSTEAD NOTHING`,
  `CREATE TRIGGER mine BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION refuse_change_of_history()`,
  `CREATE POLICY hidden ON ${table} USING (false)`,
  `CREATE INDEX ON ${table} (type)`,
];

test('the auditor reads history and adds nothing to it', async () => {
  const client = await connect(database.auditorUrl);
  try {
    assert.equal((await client.query('SELECT * FROM audit_events')).rowCount, 1);
    await refuses(client, insertEvent, { code: denied }, [...forgedEvent()]);
    await refuses(client, "COPY audit_events FROM PROGRAM 'true'", { code: denied });
    for (const partition of partitions) {
      await refuses(client, insertEvent.replace('audit_events', partition), { code: denied }, [...forgedEvent()]);
    }
    await refuses(client, 'SELECT ensure_audit_partitions()', { code: denied });
  } finally {
    await client.end();
  }
});

test('the broker adds to history and reads it, through the table and never through a partition', async () => {
  const client = await connect(database.appUrl);
  try {
    await client.query('BEGIN');
    await client.query(insertEvent, [...forgedEvent()]);
    assert.equal((await client.query('SELECT * FROM audit_events')).rowCount, 2);
    await client.query('ROLLBACK');
    for (const partition of partitions) {
      await refuses(client, `SELECT * FROM ${partition}`, { code: denied });
      await refuses(client, `COPY ${partition} TO STDOUT`, { code: denied });
      await refuses(client, insertEvent.replace('audit_events', partition), { code: denied }, [...forgedEvent()]);
    }
    await refuses(client, "COPY audit_events TO PROGRAM 'true'", { code: denied });
    await refuses(client, "COPY audit_events FROM '/etc/passwd'", { code: denied });
  } finally {
    await client.end();
  }
});

test('an event that no ledger entry could hold is refused by name', async () => {
  const [id, at, type, tenant] = forgedEvent();
  for (const bytes of [Buffer.alloc(65_536), Buffer.alloc(1)]) {
    const refusal = { code: '23514', constraint: 'event_must_fit_a_ledger_entry' };
    await refuses(superuser, insertEvent, refusal, [id, at, type, tenant, bytes]);
  }
});

test('an event is written once under its id and time, and not without a partition for its month', async () => {
  const [event] = [forgedEvent()];
  await superuser.query('BEGIN');
  await superuser.query(insertEvent, [...event]);
  await assert.rejects(superuser.query(insertEvent, [...event]), { code: '23505' });
  await superuser.query('ROLLBACK');
  const farAway = forgedEvent(new Date(Date.now() + 366 * 86_400_000));
  await refuses(superuser, insertEvent, { message: /no partition of relation "audit_events"/ }, [...farAway]);
});
