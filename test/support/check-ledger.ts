import assert from 'node:assert/strict';
import type { Pool, PoolClient } from 'pg';
import { canonicalJson } from '../../src/ledger/canonical.ts';

type Event = Record<string, unknown> & { id: string; type: string; at: string; tenant: string | null };

/**
 * Holds what is in force against what the ledger says, after any scenario: every event is canonical and agrees with
 * the columns it is found by, and every grant, ending, credential, decision and device has just its events.
 */
export async function checkLedger(sql: Pool): Promise<void> {
  const client = await sql.connect();
  try {
    // One snapshot for all that is compared: brokers go on recording meanwhile.
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await checkSnapshot(client);
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

async function checkSnapshot(sql: PoolClient): Promise<void> {
  const { rows } = await sql.query<{ id: string; at: Date; type: string; tenant: string | null; bytes: Buffer }>(
    'SELECT id, at, type, tenant, bytes FROM audit_events',
  );
  const events = rows.map((row) => {
    const text = row.bytes.toString('utf8');
    const event = JSON.parse(text) as Event;
    assert.equal(canonicalJson(event), text, 'an event is not canonical');
    assert.deepEqual(
      [event.id, event.type, event.at, event.tenant],
      [row.id, row.type, row.at.toISOString(), row.tenant],
    );
    return event;
  });
  const ids = (type: string, member: string): string[] =>
    events
      .filter((event) => event.type === type)
      .map((event) => String(event[member]))
      .sort();
  const column = async (query: string): Promise<string[]> =>
    (await sql.query<{ id: string }>(query)).rows.map((row) => row.id).sort();

  const submitted = ids('request.submitted', 'request');
  assert.deepEqual(submitted, await column('SELECT id FROM requests'), 'requests and their events');
  for (const state of ['cancelled', 'lapsed', 'denied']) {
    const stored = await column(`SELECT id FROM requests WHERE state = '${state}'`);
    assert.deepEqual(ids(`request.${state}`, 'request'), stored, `${state} requests and their events`);
  }
  assert.deepEqual(
    ids('request.approved', 'request'),
    await column(`SELECT request AS id FROM decisions WHERE verdict = 'approve'`),
    'approvals and their events',
  );
  const begun = await column('SELECT id FROM grants WHERE started_at IS NOT NULL');
  assert.deepEqual(ids('grant.started', 'grant'), begun, 'begun grants and their events');
  const known = new Set([...ids('grant.started', 'grant'), ...ids('grant.scheduled', 'grant')]);
  assert.deepEqual([...known].sort(), await column('SELECT id FROM grants'), 'grants and their events');
  for (const ending of ['revoked', 'released']) {
    const stored = await column(`SELECT id FROM grants WHERE ending = '${ending}'`);
    assert.deepEqual(ids(`grant.${ending}`, 'grant'), stored, `${ending} grants and their events`);
  }
  assert.deepEqual(
    ids('grant.expired', 'grant'),
    await column('SELECT id FROM grants WHERE expiry_recorded_at IS NOT NULL'),
    'expired grants and their events',
  );
  assert.deepEqual(
    ids('credential.issued', 'credential'),
    (await sql.query<{ hash: Buffer }>('SELECT hash FROM credentials')).rows
      .map((r) => r.hash.toString('base64url'))
      .sort(),
    'credentials and their events',
  );
  assert.deepEqual(
    ids('device.enrolled', 'device'),
    await column('SELECT id FROM devices'),
    'devices and their events',
  );

  const pairs = (type: string, last: (event: Event) => unknown): string[] =>
    events
      .filter((event) => event.type === type)
      .map((event) => `${String(event['device'])} ${String(last(event))}`)
      .sort();
  assert.deepEqual(
    pairs('secret.released', (event) => event['grant']),
    await column(`SELECT device || ' ' || grant_id AS id FROM secret_releases`),
    'releases of passwords and their events',
  );
  const prepared = new Set(pairs('secret.prepared', (event) => event['generation']));
  for (const made of await column(`SELECT device || ' ' || generation AS id FROM secret_generations`)) {
    assert.ok(prepared.has(made), 'a password without its event');
  }
  const { rows: early } = await sql.query(
    `SELECT r.device FROM secret_releases r JOIN grants g ON g.id = r.grant_id
     WHERE r.released_at NOT BETWEEN g.starts_at - interval '2 hours' AND g.expires_at OR r.device <> ALL (
       SELECT d.device FROM grant_devices d WHERE d.grant_id = g.id)`,
  );
  assert.equal(early.length, 0, 'a password that was given out outside of its grant');

  const { rows: uncommitted } = await sql.query(
    `SELECT r.id FROM requests r JOIN persons p ON p.id = r.requester LEFT JOIN disclosures d ON d.commitment = r.reason
     WHERE d.commitment IS NULL AND coalesce(p.erased_at < r.created_at, true)`,
  );
  assert.equal(uncommitted.length, 0, 'a reason without its disclosure');
  const { rows: outside } = await sql.query(
    `SELECT c.id FROM credentials c JOIN grants g ON g.id = c.grant_id
     WHERE c.expires_at > g.expires_at OR c.issued_at < date_trunc('second', g.starts_at) OR c.person <> g.person`,
  );
  assert.equal(outside.length, 0, 'a credential outside of its grant');
}
