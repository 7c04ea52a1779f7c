import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { connect, refuses } from '../support/sql.ts';
import {
  active,
  ada,
  alarm,
  ben,
  boardroom,
  change,
  chloe,
  code,
  contoso,
  credential,
  decision,
  device,
  deviceSecret,
  ended,
  fabrikam,
  generation,
  grant,
  granted,
  id,
  notice,
  over,
  pending,
  request,
  secretRelease,
  session,
  sha,
  studio,
  world,
} from './small-world.ts';

let database: TestDatabase;
let owner: Client;
before(async () => {
  database = await newTestDatabase();
  owner = await connect(database.adminUrl);
  await owner.query(world);
});
after(async () => {
  await owner.end();
  await database.drop();
});

/** For each rule that the database guards, what would break it. */
const attacks: Record<string, readonly string[]> = {
  typeid_must_be_well_formed: [
    request({ id: `'req_1'` }),
    request({ id: `'req_8000000000000000000000000a'` }),
    request({ id: `'req_0000000000000000000000000u'` }),
    request({ id: `'REQ_00000000000000000000000009'` }),
    request({ id: `E'req_00000000000000000000000009\\n'` }),
  ],
  generations_must_count_from_one: [deviceSecret({ wanted: 0 })],
  confirmation_must_be_of_what_is_wanted: [
    deviceSecret({ confirmed: 2 }),
    deviceSecret({ confirmed: -1 }),
    `UPDATE device_secrets SET confirmed = 4 WHERE device = ${boardroom}`,
  ],
  alarm_must_be_over_what_waits: [deviceSecret({ confirmed: 1, alarmed_at: 'now()' })],
  generations_must_not_go_back: [
    `UPDATE device_secrets SET wanted = 2 WHERE device = ${boardroom}`,
    `UPDATE device_secrets SET confirmed = 1 WHERE device = ${boardroom}`,
    `UPDATE device_secrets SET tenant = ${fabrikam} WHERE device = ${boardroom}`,
    `UPDATE device_secrets SET device = ${studio} WHERE device = ${boardroom}`,
  ],
  secret_salt_must_have_128_bits: [generation({ salt: `'short'` })],
  secret_must_be_released_once: [secretRelease({ device: boardroom, one_time_key: `'another'` })],
  release_must_be_of_something: [secretRelease({ generations: `'{}'` })],
  one_person_per_subject: [
    `INSERT INTO persons (id, issuer, subject, claims_at) VALUES (${id('per', 9)}, 'issuer', 's1', now())`,
  ],
  personal_data_kind_must_be_known: [`INSERT INTO personal_data VALUES (${ada}, 'phone', '1')`],
  one_name_per_person: [`INSERT INTO personal_data VALUES (${ada}, 'name', 'Eve')`],
  link_must_be_of_two_persons: [
    `INSERT INTO person_links VALUES (${ada}, ${ada}, ${chloe})`,
    `INSERT INTO person_links VALUES (${ben}, ${ada}, ${chloe})`,
  ],
  commitment_must_be_sha256: [`INSERT INTO disclosures VALUES ('short', substr(${sha}, 1, 16), 'text')`],
  salt_must_have_128_bits: [
    `INSERT INTO disclosures VALUES (${sha}, '', 'text')`,
    `INSERT INTO disclosures VALUES (${sha}, ${sha}, 'text')`,
  ],
  one_tenant_per_slug: [`INSERT INTO tenants (id, slug, name, region) VALUES (${id('ten', 9)}, 'contoso', 'C', 'EU')`],
  slug_must_be_plain: ["'Contoso'", "'a_b'", "''", "'a b'", `'${'a'.repeat(64)}'`, "E'a\\n'"].map(
    (slug) => `INSERT INTO tenants (id, slug, name, region) VALUES (${id('ten', 9)}, ${slug}, 'C', 'EU')`,
  ),
  region_must_be_known: [`INSERT INTO tenants (id, slug, name, region) VALUES (${id('ten', 9)}, 'new', 'C', 'Mars')`],
  tenant_is_fixed_when_made: ["slug = 'other'", "region = 'US'", `id = ${id('ten', 9)}`, 'created_at = now()'].map(
    (set) => change('tenants', fabrikam, set),
  ),
  key_must_be_enrolled_once: [device({ key_thumbprint: `'one'` })],
  unenrolment_must_follow_enrolment: [change('devices', studio, `unenrolled_at = enrolled_at - interval '1 ms'`)],
  erasure_must_follow_unenrolment: [change('devices', studio, 'erased_at = now()')],
  device_is_fixed_when_enrolled: [
    `tenant = ${fabrikam}`,
    `public_key = '{"x":1}'`,
    `key_thumbprint = 'other'`,
    `enrolled_at = now()`,
    `id = ${id('dev', 9)}`,
  ].map((set) => change('devices', studio, set)),
  code_must_enrol_one_device: [`UPDATE enrolment_codes SET used_by = ${boardroom} WHERE code_hash = 'unused'`],
  code_must_expire_after_its_making: [code({ expires_at: 'now()' })],
  request_state_must_be_known: [request({ state: `'maybe'`, decided_at: 'now()' })],
  request_must_name_devices: [
    request({ devices: `'{}'` }),
    request({ devices: `array_fill(${boardroom}::text, ARRAY[51])` }),
  ],
  request_must_name_scopes: [request({ scopes: `'{}'` })],
  request_must_last: [request({ duration: '0' }), request({ duration: '-1' })],
  lapse_must_follow_creation: [request({ lapses_at: 'now()' })],
  granted_request_must_have_its_grant: [
    change('requests', pending, `state = 'granted', decided_at = now()`),
    change('requests', pending, `state = 'denied', decided_at = now(), grant_id = ${active}`),
  ],
  decided_request_must_say_when: [
    change('requests', pending, `state = 'denied'`),
    change('requests', pending, `decided_at = now()`),
  ],
  requester_is_fixed_with_id: [
    // What makes the pair a key that decisions can refer to.
    `ALTER TABLE requests DROP CONSTRAINT requests_pkey CASCADE; ${request({ id: pending })}`,
  ],
  request_is_fixed_when_made: [
    `requester = ${ben}`,
    `tenant = ${fabrikam}`,
    `profile = 'break-glass'`,
    `devices = ARRAY[${studio}]`,
    `scopes = '{device.reboot}'`,
    `duration = 9999`,
    `longest = 9999`,
    `longest_total = 9999`,
    `stages = '[{"name": "lead"}]'`,
    `reason = sha256('y')`,
    `ticket = sha256('y')`,
    `extends = ${active}`,
    `starts_at = now()`,
    `lapses_at = 'infinity'`,
    `created_at = 'epoch'`,
    `policy_digest = 'other'`,
  ].map((set) => change('requests', pending, set)),
  request_must_be_decided_once: [
    change('requests', granted, `state = 'denied', grant_id = NULL`),
    change('requests', granted, `state = 'pending', grant_id = NULL, decided_at = NULL`),
    change('requests', granted, `grant_id = ${ended}`),
  ],
  extension_must_extend_a_grant: [request({ extends: id('grt', 99) })],
  granted_request_must_name_a_grant: [
    `SET CONSTRAINTS ALL IMMEDIATE; ${change('requests', pending, `state = 'granted', decided_at = now(), grant_id = ${id('grt', 99)}`)}`,
  ],
  verdict_must_be_known: [decision({ verdict: `'abstain'` })],
  approver_must_not_be_requester: [decision({ person: ada })],
  // A decision cannot name another requester to get past the rule above.
  decisions_request_requester_fkey: [decision({ requester: ben, person: ada })],
  request_must_grant_once: [grant({ request: granted })],
  grant_must_name_scopes: [grant({ scopes: `'{}'` })],
  expiry_must_follow_start: [grant({ expires_at: `now() - interval '5 minutes'` })],
  ending_must_be_known: [grant({ ending: `'forgotten'`, ended_at: 'now()' })],
  ended_grant_must_say_when: [grant({ ending: `'revoked'` }), grant({ ended_at: 'now()' })],
  ending_must_come_before_expiry: [
    grant({ ending: `'revoked'`, ended_at: `now() + interval '5 minutes'` }),
    change('grants', active, `ending = 'released', ended_at = expires_at`),
  ],
  grant_must_end_once: [
    change('grants', over, `ending = 'revoked', ended_at = starts_at`),
    grant({
      ending: `'revoked'`,
      ended_at: `now() - interval '2 minutes'`,
      expires_at: `now() - interval '1 minute'`,
      expiry_recorded_at: 'now()',
    }),
  ],
  start_must_have_come_when_recorded: [grant({ started_at: `now() - interval '6 minutes'` })],
  expiry_must_have_come_when_recorded: [change('grants', active, 'expiry_recorded_at = now()')],
  review_verdict_must_be_known: [grant({ review_by: chloe, review_verdict: `'fine'` })],
  review_must_be_by_somebody: [grant({ review_verdict: `'justified'` }), grant({ review_by: chloe })],
  reviewer_must_not_be_holder: [grant({ review_by: ada, review_verdict: `'justified'` })],
  grant_is_fixed_when_made: [
    `person = ${ben}`,
    `tenant = ${fabrikam}`,
    `scopes = '{secret.read:local-admin}'`,
    `profile = 'release-secret'`,
    `starts_at = now() - interval '1 day'`,
    `duration = 9999`,
    `request = ${pending}`,
    `review_due_at = now()`,
  ].map((set) => change('grants', active, set)),
  ended_grant_must_stay_ended: [
    change('grants', ended, 'ending = NULL, ended_at = NULL'),
    change('grants', ended, `expires_at = expires_at + interval '1 hour'`),
    change('grants', ended, `ended_by = ${ben}`),
    change('grants', ended, `ending = 'released'`),
    change('grants', over, 'expiry_recorded_at = NULL'),
    change('grants', over, `expires_at = now() + interval '1 hour'`),
  ],
  grant_must_not_be_shortened: [change('grants', active, `expires_at = expires_at - interval '1 ms'`)],
  key_is_fixed_by_first_credential: [
    change('grants', active, `key_thumbprint = 'other'`),
    change('grants', active, 'key_thumbprint = NULL'),
  ],
  review_must_be_given_once: [
    change('grants', over, `review_verdict = 'unjustified'`),
    change('grants', over, `review_by = ${ben}`),
    change('grants', over, 'review_by = NULL, review_verdict = NULL'),
  ],
  credential_hash_must_be_sha256: [credential({ hash: `'short'` })],
  credential_must_be_short_lived: [
    credential({ expires_at: 'now()' }),
    credential({ expires_at: `now() + interval '10 minutes 1 ms'` }),
  ],
  closing_must_follow_raising: [alarm({ kind: `'other'`, closed_at: `now() - interval '1 ms'` })],
  one_open_alarm_per_subject: [alarm()],
  notice_must_be_for_somebody: [notice(), notice({ person: ada, team: `'room-leads'` })],
  position_must_not_be_negative: [`INSERT INTO ledger_entries VALUES (-1, ${id('evt', 9)}, now())`],
  event_must_have_one_position: [
    `INSERT INTO ledger_entries VALUES (1, ${id('evt', 9)}, now()), (2, ${id('evt', 9)}, now())`,
  ],
  tile_must_hold_whole_hashes: [`''`, `substr(${sha}, 1, 31)`, `${sha} || 'x'`].map(
    (hashes) => `INSERT INTO ledger_tiles VALUES (0, 0, ${hashes})`,
  ),
  policy_in_force_must_be_one: [`INSERT INTO policy_in_force (singular, digest) VALUES (false, 'other')`],
  index_must_be_one: ['INSERT INTO ledger_indexed VALUES (false, 0)'],
  indexed_must_not_be_negative: ['UPDATE ledger_indexed SET size = -1'],
  ledger_must_be_one: ['INSERT INTO ledger_state (singular) VALUES (false)'],
  cosigned_size_must_be_positive: [`INSERT INTO ledger_cosignatures VALUES (0, 'w', 'c', E'— w AAAA\\n')`],
  line_must_be_a_signature: [`INSERT INTO ledger_cosignatures VALUES (1, 'w', 'c', 'anything')`],
  signing_key_must_be_known: [
    `INSERT INTO signing_keys (name, version, key, recorded_at) VALUES ('x', 'v', 'k', now())`,
  ],
  proof_must_have_its_time: [
    `INSERT INTO signing_keys (name, version, key, recorded_at, proof) VALUES ('ledger', 'v', 'k', now(), 'p')`,
    `INSERT INTO signing_keys (name, version, key, recorded_at, proved_at) VALUES ('ledger', 'v', 'k', now(), now())`,
  ],
  proved_key_must_be_of_the_ledger: [
    `INSERT INTO signing_keys (name, version, key, recorded_at, proof, proved_at)
     VALUES ('credential', 'v', 'k', now(), 'p', now())`,
  ],
  signing_key_must_stay_as_it_is_known: [
    'withdrawn_at = NULL, changes = 2',
    `withdrawn_at = now() + interval '1 day', changes = 2`,
    `proof = 'another', changes = 2`,
    'proof = NULL, proved_at = NULL, changes = 2',
    `key = 'another', changes = 2`,
    'changes = 1',
  ].map((set) => `UPDATE signing_keys SET ${set}`),
  turn_must_be_for_a_known_key: [`INSERT INTO key_turns VALUES ('x', now())`],
  root_must_be_sha256: [`UPDATE ledger_state SET root = 'short'`],
  ended_session_must_say_why: [session({ ended_at: 'now()' }), session({ end_cause: `'closed'` })],
  session_must_end_once: [
    change('sessions', id('ses', 1), `end_cause = 'other'`),
    change('sessions', id('ses', 1), 'ended_at = NULL, end_cause = NULL'),
    change('sessions', id('ses', 2), `person = ${ben}`),
    change('sessions', id('ses', 2), `tenant = ${fabrikam}`),
  ],
};

/** Rules of history, which have tests of their own in test/attacks/history-*.test.ts. */
const elsewhere = [
  'event_must_fit_a_ledger_entry',
  'history_rows_stay',
  'history_is_not_truncated',
  'every_event_is_sequenced',
  'ledger_entries_stay',
  'ledger_entries_are_not_truncated',
  'ledger_must_not_shrink',
  'ledger_stays',
  'ledger_is_not_truncated',
  'ledger_tiles_stay',
  'ledger_tiles_are_not_truncated',
  'tile_must_only_grow',
];

for (const [rule, statements] of Object.entries(attacks)) {
  test(rule.replaceAll('_', ' '), async () => {
    for (const statement of statements) await refuses(owner, statement, { constraint: rule });
  });
}

test('every rule that the schema names is attacked here', async () => {
  const { rows } = await owner.query<{ name: string }>(
    `SELECT conname::text AS name FROM pg_constraint
       WHERE connamespace = 'public'::regnamespace AND conname ~ '_must_|_is_|^one_'
     UNION SELECT tgname::text FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
       WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace
     UNION SELECT c.relname::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid
       WHERE indisunique AND NOT indisprimary AND indpred IS NOT NULL AND c.relnamespace = 'public'::regnamespace`,
  );
  const named = rows.map((row) => row.name).filter((name) => !elsewhere.includes(name));
  const attacked = Object.keys(attacks).filter((name) => name !== 'decisions_request_requester_fkey');
  assert.deepEqual(named.sort(), attacked.sort());
});

test('every check has a name that is a sentence', async () => {
  const { rows } = await owner.query<{ name: string }>(
    `SELECT conname AS name FROM pg_constraint
     WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conname !~ '_must_'`,
  );
  assert.deepEqual(rows, []);
});

test('what is permitted is not refused', async () => {
  await owner.query('BEGIN');
  for (const statement of [
    device(),
    code(),
    request(),
    decision(),
    credential(),
    session(),
    deviceSecret(),
    generation(),
    secretRelease(),
    notice({ person: ada }),
    change('tenants', contoso, `name = 'Contoso AG'`),
    change('devices', studio, 'unenrolled_at = now(), door = NULL'),
    change('grants', active, `expires_at = expires_at + interval '1 hour', key_thumbprint = 'key'`),
    change('grants', active, `ending = 'released', ended_at = now(), ended_by = ${ada}`),
    change('requests', pending, `state = 'granted', decided_at = now(), grant_id = ${id('grt', 9)}`),
    grant(),
    change('sessions', id('ses', 2), `ended_at = now(), end_cause = 'closed'`),
    'SET CONSTRAINTS ALL IMMEDIATE',
  ]) {
    await owner.query(statement);
  }
  await owner.query('ROLLBACK');
});
