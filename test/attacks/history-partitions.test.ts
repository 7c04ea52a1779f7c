import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { connect, denied, forgedEvent, insertEvent, refuses } from '../support/sql.ts';

let database: TestDatabase;
let superuser: Client;
let app: Client;
before(async () => {
  database = await newTestDatabase();
  superuser = await connect(database.superuserUrl);
  app = await connect(database.appUrl);
});
after(async () => {
  await Promise.all([superuser.end(), app.end()]);
  await database.drop();
});

interface Partition {
  readonly name: string;
  readonly bounds: string;
  readonly owner: string;
  readonly triggers: string[];
}

/** What there is of history, with each partition's guards and whether they are always on. */
async function partitions(): Promise<Partition[]> {
  const { rows } = await superuser.query<Partition>(
    `SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds, c.relowner::regrole::text AS owner,
       (SELECT array_agg(tgname::text || ' ' || tgenabled::text ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid) AS triggers
     FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'audit_events'::regclass ORDER BY 1`,
  );
  return rows;
}

const ensure = async (client: Client): Promise<number> =>
  (await client.query<{ made: number }>('SELECT public.ensure_audit_partitions() AS made')).rows[0]!.made;

const dropLast = async (count: number): Promise<string[]> => {
  const gone = (await partitions()).slice(-count).map(({ name }) => name);
  await superuser.query(`DROP TABLE ${gone.join(', ')}`);
  return gone;
};

test('this month and the next three have a partition each, without a gap, guarded always', async () => {
  const all = await partitions();
  assert.equal(all.length, 4);
  const [{ month }] = (
    await superuser.query<{ month: string }>(`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY_MM') AS month`)
  ).rows as [{ month: string }];
  assert.equal(all[0]!.name, `audit_events_${month}`);
  const bounds = all.map((each) => each.bounds.match(/\('(.*?)'\) TO \('(.*?)'\)/)!.slice(1, 3));
  for (const [index, [from]] of bounds.entries()) {
    if (index > 0) assert.equal(from, bounds[index - 1]![1]);
  }
  for (const partition of all) {
    assert.equal(partition.owner, 'latchkey_admin');
    assert.deepEqual(partition.triggers, ['history_is_not_truncated A', 'history_rows_stay A'], partition.name);
  }
});

test('the broker makes what is missing, guarded as if the migration had, and nothing when nothing is', async () => {
  const before = await partitions();
  assert.equal(await ensure(app), 0);
  await dropLast(3);
  assert.equal(await ensure(app), 3);
  assert.equal(await ensure(app), 0);
  assert.deepEqual(await partitions(), before);
});

test('brokers that make them at once make each once', async () => {
  const before = await partitions();
  await dropLast(3);
  const clients = await Promise.all(Array.from({ length: 8 }, () => connect(database.appUrl)));
  try {
    const made = await Promise.all(clients.map(ensure));
    assert.equal(
      made.reduce((a, b) => a + b),
      3,
    );
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
  assert.deepEqual(await partitions(), before);
});

test('making one waits for no writer and no reader of history, and none waits for it', async () => {
  const writer = await connect(database.appUrl);
  try {
    await dropLast(1);
    await writer.query('BEGIN');
    await writer.query(insertEvent, [...forgedEvent()]);
    await app.query("BEGIN; SET LOCAL lock_timeout = '500ms'");
    assert.equal(await ensure(app), 1);
    await writer.query("SET LOCAL lock_timeout = '500ms'");
    await writer.query(insertEvent, [...forgedEvent()]);
    await app.query('COMMIT');
  } finally {
    await app.query('ROLLBACK');
    await writer.end();
  }
  assert.equal((await partitions()).length, 4);
});

test('tables, functions and settings of a caller have no say in what it does', async () => {
  const before = await partitions();
  const attacker = await connect(database.appUrl);
  try {
    await attacker.query(`
      CREATE TEMP TABLE audit_events (id text);
      CREATE TEMP TABLE pg_class (relname text);
      CREATE FUNCTION pg_temp.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT NULL::regclass';
      CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'epoch'::timestamptz $$;
      CREATE FUNCTION pg_temp.format(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'DROP TABLE public.audit_events' $$;
      SET search_path = pg_temp, public, pg_catalog;
      SET TimeZone = 'Pacific/Kiritimati';
      SET DateStyle = 'SQL, DMY';
      SET check_function_bodies = off;
    `);
    await dropLast(2);
    assert.equal(await ensure(attacker), 2);
  } finally {
    await attacker.end();
  }
  assert.deepEqual(await partitions(), before);
});

test('a caller cannot replace it, nor the function that refuses', async () => {
  for (const statement of [
    `CREATE OR REPLACE FUNCTION public.ensure_audit_partitions() RETURNS integer LANGUAGE sql AS 'SELECT 0'`,
    `CREATE OR REPLACE FUNCTION public.refuse_change_of_history() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
    'DROP FUNCTION refuse_change_of_history() CASCADE',
    'ALTER FUNCTION ensure_audit_partitions() RESET search_path',
    'ALTER FUNCTION ensure_audit_partitions() SECURITY INVOKER',
  ]) {
    await refuses(app, statement, { code: denied });
  }
});
