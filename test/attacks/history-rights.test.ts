import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { connect, denied, refuses } from '../support/sql.ts';

let database: TestDatabase;
let superuser: Client;
let app: Client;
let auditor: Client;
before(async () => {
  database = await newTestDatabase();
  [superuser, app, auditor] = await Promise.all([
    connect(database.superuserUrl),
    connect(database.appUrl),
    connect(database.auditorUrl),
  ]);
});
after(async () => {
  await Promise.all([superuser, app, auditor].map((client) => client.end()));
  await database.drop();
});

/** What the broker may change of a row that is there, what it may remove, and where it may not add. It may read all. */
const changeable: Record<string, readonly string[]> = {
  alarms: ['closed_at'],
  audit_events: [],
  credentials: [],
  decisions: [],
  device_secrets: ['alarmed_at', 'confirmed', 'retired_at', 'vault_untidy_since', 'wanted', 'wanted_at'],
  device_statements: [],
  devices: ['door', 'erased_at', 'facts', 'in_use', 'last_seen_at', 'name', 'unenrolled_at'],
  disclosures: [],
  early_session_ends: [],
  enrolment_codes: ['used_by'],
  grant_devices: ['expires_at', 'left_at'],
  grants: [
    'end_note',
    'end_reason',
    'ended_at',
    'ended_by',
    'ending',
    'expires_at',
    'expiry_recorded_at',
    'key_thumbprint',
    'review_by',
    'review_verdict',
    'reviewed_at',
    'started_at',
  ],
  idempotent_answers: ['answer'],
  key_turns: ['taken_at'],
  ledger_cosignatures: [],
  ledger_entries: [],
  ledger_inbox: [],
  ledger_indexed: ['size'],
  ledger_state: ['checkpoint', 'edge', 'root', 'signed_at', 'size'],
  ledger_subjects: [],
  ledger_tiles: ['hashes'],
  live_versions: ['changed_at', 'version'],
  notices: [],
  person_links: [],
  personal_data: ['value'],
  persons: ['claims_at', 'employer', 'region', 'teams', 'training_valid_until'],
  policy_bundles: [],
  policy_in_force: ['digest'],
  requests: ['decided_at', 'grant_id', 'state'],
  secret_generations: [],
  secret_releases: ['rotation_ordered_at'],
  sessions: ['alarmed_at', 'end_cause', 'ended_at', 'lag_ms'],
  signing_keys: ['changes', 'proof', 'proved_at', 'withdrawn_at'],
  tenants: ['name'],
  used_proofs: [],
};
const removable = [
  'device_statements',
  'disclosures',
  'early_session_ends',
  'enrolment_codes',
  'idempotent_answers',
  'ledger_cosignatures',
  'ledger_inbox',
  'secret_generations',
  'used_proofs',
];
/** Filled by a trigger, or there from the first. */
const notAdded = ['ledger_inbox', 'ledger_indexed', 'ledger_state'];

/** The tables of the schema, partitions left out. */
async function tables(): Promise<string[]> {
  const { rows } = await superuser.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
       AND NOT relispartition AND relname <> 'schema_migrations' ORDER BY 1`,
  );
  return rows.map((row) => row.name);
}

test('each table has its line here', async () => {
  assert.deepEqual(await tables(), Object.keys(changeable).sort());
});

test('the broker has just the rights that it needs', async () => {
  const { rows: columns } = await superuser.query<{ table: string; columns: string[] }>(
    `SELECT c.relname AS table, coalesce(array_agg(a.attname::text ORDER BY a.attname)
         FILTER (WHERE has_column_privilege('latchkey_app', c.oid, a.attnum, 'UPDATE')), '{}') AS columns
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.oid::regclass::text = ANY ($1) GROUP BY 1 ORDER BY 1`,
    [await tables()],
  );
  assert.deepEqual(Object.fromEntries(columns.map((row) => [row.table, row.columns])), changeable);
  const { rows } = await superuser.query<{ table: string; rights: string[] }>(
    `SELECT c.relname AS table, array_agg(privilege ORDER BY privilege) AS rights
     FROM pg_class c, unnest('{SELECT,INSERT,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS privilege
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
       AND has_table_privilege('latchkey_app', c.oid, privilege)
     GROUP BY 1 ORDER BY 1`,
  );
  const expected = (await tables()).map((table) => ({
    table,
    rights: [
      ...(removable.includes(table) ? ['DELETE'] : []),
      ...(notAdded.includes(table) ? [] : ['INSERT']),
      'SELECT',
    ],
  }));
  const read = ['ledger_inbox_seq_seq', 'schema_migrations'];
  const all = [...expected, ...read.map((table) => ({ table, rights: ['SELECT'] }))];
  assert.deepEqual(
    rows,
    all.sort((a, b) => (a.table < b.table ? -1 : 1)),
  );
});

test('the auditor reads events and policies, and nothing of people', async () => {
  const { rows } = await superuser.query<{ table: string }>(
    `SELECT relname AS table FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
       AND has_any_column_privilege('latchkey_auditor', oid, 'SELECT') ORDER BY 1`,
  );
  assert.deepEqual(
    rows.map((row) => row.table),
    [
      'audit_events',
      ...Object.keys(changeable).filter((table) => table.startsWith('ledger_')),
      'policy_bundles',
      'schema_migrations',
      'signing_keys',
    ],
  );
  const { rows: writable } = await superuser.query(
    `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
       AND (has_any_column_privilege('latchkey_auditor', oid, 'INSERT, UPDATE, REFERENCES')
         OR has_table_privilege('latchkey_auditor', oid, 'DELETE, TRUNCATE, TRIGGER'))`,
  );
  assert.deepEqual(writable, []);
});

test('neither owns anything, belongs to another role, or has an attribute that opens doors', async () => {
  const { rows } = await superuser.query(
    `SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
       (SELECT count(*)::integer FROM pg_auth_members WHERE member = r.oid) AS roles,
       (SELECT count(*)::integer FROM pg_class WHERE relowner = r.oid AND relnamespace = 'public'::regnamespace) AS owned
     FROM pg_roles r WHERE rolname IN ('latchkey_app', 'latchkey_auditor') ORDER BY 1`,
  );
  const nothing = {
    rolsuper: false,
    rolcreaterole: false,
    rolcreatedb: false,
    rolreplication: false,
    rolbypassrls: false,
    roles: 0,
    owned: 0,
  };
  assert.deepEqual(rows, [
    { rolname: 'latchkey_app', ...nothing },
    { rolname: 'latchkey_auditor', ...nothing },
  ]);
});

test('of what is done with the rights of the owner, the broker may have two things done, and nobody else any', async () => {
  const { rows } = await superuser.query<{ name: string; app: boolean; auditor: boolean; path: string[] }>(
    `SELECT proname AS name, has_function_privilege('latchkey_app', oid, 'EXECUTE') AS app,
       has_function_privilege('latchkey_auditor', oid, 'EXECUTE') AS auditor, proconfig AS path
     FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef ORDER BY 1`,
  );
  assert.deepEqual(
    rows.map(({ name, app, auditor }) => [name, app, auditor]),
    [
      ['ensure_audit_partitions', true, false],
      ['erase_person', true, false],
      ['file_for_sequencing', false, false],
    ],
  );
  for (const { path } of rows) assert.match(path[0]!, /^search_path=pg_catalog, public, pg_temp$/);
});

const overreaching = [
  'SET ROLE latchkey_admin',
  'SET SESSION AUTHORIZATION latchkey_admin',
  "SET session_replication_role = 'replica'",
  'SELECT * FROM pg_authid',
  'SELECT rolpassword FROM pg_catalog.pg_authid',
  'CREATE TABLE public.mine (a integer)',
  "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
  'CREATE SCHEMA mine',
  'CREATE ROLE mine',
  'CREATE EXTENSION dblink',
  'CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION refuse_change()',
  'ALTER ROLE latchkey_app SUPERUSER',
  'GRANT latchkey_admin TO CURRENT_USER',
  'ALTER TABLE grants DISABLE TRIGGER ALL',
  'ALTER TABLE decisions DROP CONSTRAINT approver_must_not_be_requester',
  "SELECT pg_read_file('postgresql.conf')",
  "COPY persons TO '/tmp/persons'",
  "COPY persons FROM PROGRAM 'true'",
  'SELECT pg_reload_conf()',
];

test('neither reaches beyond its rights', async () => {
  for (const client of [app, auditor]) {
    for (const statement of overreaching) await refuses(client, statement, { code: denied });
    await refuses(client, "ALTER ROLE latchkey_admin PASSWORD 'mine'", { code: denied });
    await refuses(client, 'DELETE FROM schema_migrations', { code: denied });
  }
});

test('the broker changes no decision, credential, policy or fixed column, and removes no grant', async () => {
  for (const statement of [
    "UPDATE decisions SET verdict = 'approve'",
    'DELETE FROM decisions',
    "UPDATE credentials SET expires_at = 'infinity'",
    'DELETE FROM credentials',
    "UPDATE policy_bundles SET files = '{}'",
    'DELETE FROM policy_bundles',
    'DELETE FROM requests',
    'UPDATE requests SET requester = requester',
    'UPDATE requests SET stages = stages',
    'DELETE FROM grants',
    'UPDATE grants SET person = person',
    'UPDATE grants SET scopes = scopes',
    'UPDATE grants SET starts_at = starts_at',
    'UPDATE grant_devices SET device = device',
    'UPDATE devices SET public_key = public_key',
    'UPDATE devices SET tenant = tenant',
    'UPDATE tenants SET slug = slug',
    'UPDATE persons SET subject = subject',
    'DELETE FROM persons',
    'DELETE FROM person_links',
    'UPDATE used_proofs SET expires_at = now()',
    'UPDATE idempotent_answers SET body_hash = body_hash',
    'UPDATE notices SET person = NULL',
    'UPDATE disclosures SET value = value',
    'TRUNCATE live_versions',
  ]) {
    await refuses(app, statement, { code: denied });
  }
});

test('a password of a role is known to nobody but the server', async () => {
  await refuses(app, 'SELECT passwd FROM pg_shadow', { code: denied });
  const { rows } = await app.query<{ rolpassword: string }>('SELECT DISTINCT rolpassword FROM pg_roles');
  assert.deepEqual(rows, [{ rolpassword: '********' }]);
});
