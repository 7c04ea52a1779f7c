import type { ClientBase } from 'pg';
import { connect } from '../support/sql.ts';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';

/** How many there are of each, in a database that has been in use for years. */
export const sizes = { tenants: 100, persons: 5_000, engineers: 500, devices: 10_000, grants: 50_000 };

/** The nth thing of a kind: digits are digits of an id, too. */
export const nth = (prefix: string, n: number): never => `${prefix}_${String(n).padStart(26, '0')}` as never;

/**
 * Tenant 1 owns half of everything, tenant 100 nearly nothing; the grants and requests of long ago have ended in one
 * way or another, the last few hundred are in force, scheduled, pending, or due by the clock.
 */
const history = `
  CREATE FUNCTION pg_temp.nth(prefix text, n bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT prefix || '_' || lpad(n::text, 26, '0') $$;
  CREATE FUNCTION pg_temp.tenant(n bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT pg_temp.nth('ten', CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + n / 2 % 98 END) $$;
  CREATE FUNCTION pg_temp.hash(n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE
    AS $$ SELECT sha256(int8send(n)) $$;
  SET session_replication_role = 'replica';
  SET synchronous_commit = off;
  INSERT INTO tenants (id, slug, name, region)
    SELECT pg_temp.nth('ten', n), 'tenant-' || n, 'Tenant', 'EU' FROM generate_series(1, ${sizes.tenants}) n;
  INSERT INTO persons (id, issuer, subject, claims_at)
    SELECT pg_temp.nth('per', n), 'https://login.example', 's' || n, now() FROM generate_series(1, ${sizes.persons}) n;
  INSERT INTO personal_data (person, kind, value)
    SELECT pg_temp.nth('per', n), kind, kind || CASE kind WHEN 'email' THEN n / 2 ELSE n END
    FROM generate_series(1, ${sizes.persons}) n, unnest('{name,email}'::text[]) kind;
  INSERT INTO person_links (person, other, linked_by)
    SELECT pg_temp.nth('per', n), pg_temp.nth('per', n + 1), pg_temp.nth('per', 1) FROM generate_series(1, 2000, 4) n;
  INSERT INTO devices (id, tenant, name, public_key, key_thumbprint, facts, enrolled_at)
    SELECT pg_temp.nth('dev', n), pg_temp.tenant(n), 'room-' || n, '{}', 'key-' || n,
      jsonb_build_object('serial', 'SN' || n, 'make', 'Acme'), now()
    FROM generate_series(1, ${sizes.devices}) n;
  INSERT INTO live_versions (device, version, changed_at)
    SELECT id, 1, now() - interval '1 day' FROM devices;
  UPDATE live_versions SET changed_at = clock_timestamp() WHERE device < pg_temp.nth('dev', 50);
  INSERT INTO enrolment_codes (code_hash, tenant, created_by, created_at, expires_at, used_by)
    SELECT pg_temp.hash(n), pg_temp.tenant(n), pg_temp.nth('per', 1), now() - interval '1 year',
      now() - interval '364 days', CASE WHEN n % 100 > 0 THEN pg_temp.nth('dev', n) END
    FROM generate_series(1, ${sizes.devices}) n;
  INSERT INTO requests (id, state, requester, tenant, profile, devices, scopes, data_classes, duration, longest,
      longest_total, stages, reason, created_at, lapses_at, decided_at, grant_id, policy_digest)
    SELECT pg_temp.nth('req', n), state, pg_temp.nth('per', 1 + n % ${sizes.engineers}), pg_temp.tenant(n), 'remediate',
      ARRAY[pg_temp.nth('dev', 1 + n % ${sizes.devices})], '{device.inspect}', '{}', 600, 3600, 7200,
      '[{"name": "lead", "from": ["room-leads"], "needs": 1}]', pg_temp.hash(n), now() - interval '1 hour',
      CASE WHEN n % 20 = 0 THEN now() - interval '1 second' ELSE now() + interval '1 hour' END,
      CASE WHEN state <> 'pending' THEN now() END, CASE WHEN state = 'granted' THEN pg_temp.nth('grt', n) END, 'digest'
    FROM (SELECT n, CASE WHEN n > ${sizes.grants} THEN 'pending' WHEN n % 40 = 7 THEN 'denied'
      WHEN n % 200 = 1 THEN 'cancelled' WHEN n % 200 = 3 THEN 'lapsed' ELSE 'granted' END AS state
      FROM generate_series(1, ${sizes.grants} + 400) n) of;
  INSERT INTO decisions (request, requester, person, verdict, stage, decided_at)
    SELECT id, requester, pg_temp.nth('per', 4000), 'approve', 'lead', now() FROM requests WHERE state = 'granted';
  INSERT INTO disclosures (commitment, salt, value, person, device)
    SELECT pg_temp.hash(n), '\\x00000000000000000000000000000000', 'panel frozen', pg_temp.nth('per', 1),
      CASE WHEN n % 2 = 0 THEN pg_temp.nth('dev', 1 + n % ${sizes.devices}) END
    FROM generate_series(1, ${sizes.grants} + 400) n;
  INSERT INTO grants (id, request, person, tenant, profile, scopes, duration, starts_at, expires_at, started_at,
      expiry_recorded_at, ending, ended_at, review_due_at)
    SELECT pg_temp.nth('grt', n), pg_temp.nth('req', n), pg_temp.nth('per', 1 + n % ${sizes.engineers}),
      pg_temp.tenant(n), 'remediate', '{device.inspect}', 600, starts, starts + interval '10 minutes',
      CASE WHEN starts <= now() THEN starts END,
      CASE WHEN n <= ${sizes.grants} - 500 AND ending IS NULL THEN now() END, ending,
      CASE WHEN ending IS NOT NULL THEN starts + interval '5 minutes' END, CASE WHEN n % 2000 = 5 THEN now() END
    FROM (SELECT n, CASE WHEN n > ${sizes.grants} - 500 THEN NULL WHEN n % 100 = 9 THEN 'revoked'
        WHEN n % 3 = 0 THEN 'released' END AS ending,
      now() + CASE WHEN n <= ${sizes.grants} - 500 THEN interval '-1 day' WHEN n % 10 = 0 THEN interval '-11 minutes'
        WHEN n % 10 = 1 THEN interval '1 day' WHEN n % 10 = 2 THEN interval '0' ELSE interval '-1 minute' END AS starts
      FROM generate_series(1, ${sizes.grants}) n) of;
  UPDATE grants SET started_at = NULL WHERE id > pg_temp.nth('grt', ${sizes.grants} - 30) AND ending IS NULL;
  INSERT INTO grant_devices (grant_id, device, position, expires_at)
    SELECT g.id, r.devices[1], 1, g.expires_at FROM grants g JOIN requests r ON r.id = g.request;
  INSERT INTO credentials (id, grant_id, device, person, hash, issued_at, expires_at)
    SELECT pg_temp.nth('crd', n), pg_temp.nth('grt', n), pg_temp.nth('dev', 1 + n % ${sizes.devices}),
      pg_temp.nth('per', 1), pg_temp.hash(n), now(), now() + interval '1 minute' FROM generate_series(1, 10000) n;
  INSERT INTO sessions (id, device, grant_id, person, tenant, credential, scopes, started_at, ended_at, end_cause)
    SELECT pg_temp.nth('ses', n), pg_temp.nth('dev', 1 + n % ${sizes.devices}), pg_temp.nth('grt', n),
      pg_temp.nth('per', 1 + n % ${sizes.engineers}), pg_temp.tenant(n), pg_temp.nth('crd', n), '{}', now(),
      CASE WHEN n % 500 > 0 THEN now() END, CASE WHEN n % 500 > 0 THEN 'closed' END
    FROM generate_series(1, ${sizes.grants}, 4) n;
  INSERT INTO device_secrets (device, tenant, wanted, wanted_at, confirmed, vault_untidy_since)
    SELECT pg_temp.nth('dev', n), pg_temp.tenant(n), 4, now() - interval '1 hour', CASE WHEN n % 200 = 0 THEN 3 ELSE 4 END,
      CASE WHEN n % 500 = 0 THEN now() END FROM generate_series(1, ${sizes.devices}, 2) n
    UNION ALL SELECT pg_temp.nth('dev', n), pg_temp.tenant(n), 4, now() - interval '1 hour', 3, NULL
      FROM generate_series(2, 200, 2) n;
  INSERT INTO secret_generations (device, generation, vault_version, salt, event, leaf)
    SELECT device, generation, 'v', '\\x00000000000000000000000000000000', pg_temp.nth('evt', 1), '{}'
    FROM device_secrets, unnest('{3,4}'::integer[]) generation;
  INSERT INTO secret_releases (grant_id, device, generations, one_time_key, released_at, event, leaf, rotation_ordered_at)
    SELECT pg_temp.nth('grt', n), pg_temp.nth('dev', 1 + n % ${sizes.devices}), '{3}', 'key', now() - interval '2 hours',
      pg_temp.nth('evt', 1), '{}', CASE WHEN n % 500 > 0 THEN now() END FROM generate_series(1, ${sizes.grants}, 4) n;
  INSERT INTO device_statements (device, jti)
    SELECT pg_temp.nth('dev', 1 + n % ${sizes.devices}), pg_temp.nth('evt', n) FROM generate_series(1, 10000) n;
  INSERT INTO early_session_ends (session, device, grant_id, ended_at, end_cause, lag_ms)
    SELECT pg_temp.nth('ses', 1000000 + n), pg_temp.nth('dev', 1 + n % ${sizes.devices}), pg_temp.nth('grt', n),
      now() - make_interval(mins => n), 'closed', 0 FROM generate_series(1, 10000) n;
  INSERT INTO used_proofs (hash, expires_at)
    SELECT pg_temp.hash(n), now() + CASE WHEN n < 100 THEN interval '-1 hour' ELSE interval '1 minute' END
    FROM generate_series(1, 10000) n;
  INSERT INTO idempotent_answers (person, key, body_hash, answer, expires_at)
    SELECT pg_temp.nth('per', 1 + n % ${sizes.engineers}), n::text, pg_temp.hash(n), pg_temp.hash(n),
      now() + CASE WHEN n < 100 THEN interval '-1 hour' ELSE interval '1 day' END FROM generate_series(1, 10000) n;
  INSERT INTO alarms (id, kind, subject, tenant, since, closed_at)
    SELECT pg_temp.nth('alm', n), 'break-glass-used', pg_temp.nth('grt', n), pg_temp.tenant(n), now(),
      CASE WHEN n % 200 > 0 THEN now() END FROM generate_series(1, 20000) n;
  INSERT INTO notices (id, person, team, kind, subject, created_at)
    SELECT pg_temp.nth('ntc', n), CASE WHEN n % 2 = 0 THEN pg_temp.nth('per', 1 + n % ${sizes.engineers}) END,
      CASE WHEN n % 2 = 1 THEN CASE WHEN n % 4 = 1 THEN 'room-leads' ELSE 'customer-approvers:tenant-' || n % 100 END END,
      'grant-revoked', pg_temp.nth('grt', n), now() FROM generate_series(1, 20000) n;
  SET session_replication_role = 'origin';
`;

/** A database as large as years make one, with what the planner knows of it up to date. */
export async function newFullDatabase(): Promise<TestDatabase> {
  const database = await newTestDatabase();
  const client: ClientBase & { end(): Promise<void> } = await connect(database.superuserUrl);
  try {
    await client.query(history);
    await client.query('VACUUM ANALYZE');
  } finally {
    await client.end();
  }
  return database;
}
