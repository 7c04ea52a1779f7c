import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { batchSize } from '../../src/broker/backlog.ts';
import { uuidOf } from '../../src/domain/ids.ts';
import { eventOf } from '../../src/ledger/events.ts';
import { appendEvents } from '../../src/store/events.ts';
import { lockLedgerState, placeWaiting } from '../../src/store/ledger.ts';
import { openPool } from '../../src/store/pool.ts';
import { inTransaction, type Tx } from '../../src/store/transaction.ts';
import { newTestBroker, type Reply, type TestBroker } from '../support/broker.ts';
import { eventually } from './support/scenario.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { verify } from '../support/vandal.ts';

let broker: TestBroker;
let key: EngineerKey;
let vkey: string;

before(async () => {
  broker = await newTestBroker({ brokers: 2 });
  key = await newEngineerKey();
  vkey = broker.brokers[0]!.context.keys.ledger.vkey;
});
after(() => broker.stop());

/** Waits until every event has its position, and tells how long that took in milliseconds. */
const settled = async (): Promise<number> => {
  const began = performance.now();
  while ((await broker.sql.query('SELECT FROM ledger_inbox LIMIT 1')).rowCount! > 0) {
    assert.ok(performance.now() - began < 15_000, 'events still wait for their positions');
    await sleep(5);
  }
  return performance.now() - began;
};

/** Waits until it is noted what all events speak of, and compares. */
const noted = async (): Promise<void> => {
  await settled();
  const began = performance.now();
  const behind = 'SELECT FROM ledger_indexed i, ledger_state s WHERE i.size < s.size';
  while ((await broker.sql.query(behind)).rowCount! > 0) {
    assert.ok(performance.now() - began < 15_000, 'some entries are not noted yet');
    await sleep(5);
  }
  const { rows: spoken } = await broker.sql.query<{ position: number; subject: string }>(
    `SELECT DISTINCT e.position, said[1] AS subject FROM ledger_entries e JOIN audit_events a ON a.id = e.event AND a.at = e.at,
       regexp_matches(convert_from(a.bytes, 'UTF8'), '"((?:ten|per|dev|grt|req|ses)_[0-9a-z]{26})"', 'g') AS said`,
  );
  const { rows: found } = await broker.sql.query<{ note: string }>(
    `SELECT position || ' ' || replace(subject::text, '-', '') AS note FROM ledger_subjects`,
  );
  assert.deepEqual(
    found.map(({ note }) => note).sort(),
    spoken.map(({ position, subject }) => `${position} ${uuidOf(subject)}`).sort(),
  );
};

/** Nothing is lost, no position is left out or given twice, and all of it verifies. */
const requireWhole = async (): Promise<void> => {
  await settled();
  const { rows } = await broker.sql.query(
    `SELECT (SELECT count(*) FROM audit_events) AS events, (SELECT count(*) FROM ledger_entries) AS entries,
       (SELECT count(DISTINCT event) FROM ledger_entries) AS different,
       (SELECT coalesce(max(position) + 1, 0) FROM ledger_entries) AS next, (SELECT size FROM ledger_state) AS size`,
  );
  const { events, entries, different, next, size } = rows[0]!;
  assert.deepEqual([entries, different, next, size], [events, events, events, events]);
  await noted();
  const { exitCode, answer } = await verify('--database', broker.database.auditorUrl, '--key', vkey);
  assert.equal(exitCode, 0, JSON.stringify(answer));
};
afterEach(requireWhole);

const rename = (turn: string | number): Promise<Reply> =>
  broker.call('olu', 'PUT', '/v1/tenants/fabrikam', { name: `Fabrikam ${turn}`, region: 'EU' });

const mint = async (grant: { id: string; devices: string[] }): Promise<Reply> => {
  const path = `/v1/grants/${grant.id}/credentials`;
  const dpop = await key.proof('POST', broker.config.publicUrl + path);
  return broker.call('ada', 'POST', path, { device: grant.devices[0] }, { headers: { dpop } });
};

test('two brokers that write and sequence at once never fork the ledger', async () => {
  const grants = await Promise.all(Array.from({ length: 4 }, () => broker.grant('ada', 'remediate')));
  const writers = Array.from({ length: 16 }, async (_, writer) => {
    for (let turn = 0; turn < 12; turn++) {
      if (writer % 4 === 0) assert.equal((await mint(grants[writer / 4])).status, 201);
      else if (writer % 4 === 1) await broker.ask('ben', 'remediate');
      else assert.equal((await rename(`${writer}-${turn}`)).status, 200);
    }
  });
  await Promise.all(writers);
});

/** Writes events as a broker does that dies before it can say so. */
const appendMany = async (count: number, policy = 'sha256:0'): Promise<void> => {
  const fact = { type: 'policy.loaded', policy } as const;
  const about = { at: new Date(), region: 'EU', tenant: null, actor: { kind: 'broker', id: 'broker' } as const };
  const pool = openPool({ url: broker.database.appUrl, size: 1 });
  await inTransaction(pool, async (tx) =>
    appendEvents(
      tx,
      Array.from({ length: count }, () => eventOf(fact, about)),
      [],
    ),
  );
  await pool.end();
};

test('more events than one batch takes, which nobody announced, get their positions at once and without a complaint', async () => {
  await settled();
  const complaints = (): number =>
    broker.logLines.filter((line) => /could not be extended/.test((line as { message?: string }).message ?? '')).length;
  const before = complaints();
  await appendMany(2 * batchSize + 1);
  await settled();
  await sleep(500);
  assert.equal(complaints(), before, JSON.stringify(broker.logLines.at(-1)));
});

test('an event gets its position as it is, whatever letters and signs are in it', async () => {
  await appendMany(1, String.raw`\ \\ \101 \x41 "quoted" ' {} é € 😀 ${'\u0000\u0001\u007f\ufeff\ufffd'} \8 \1`);
  await settled();
});

test('when large batches cannot be made, smaller ones are', async () => {
  await settled();
  // As if the database were so slow that a large batch takes longer than it may.
  await broker.sql.query(
    `CREATE OR REPLACE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF (SELECT count(*) > ${batchSize / 2} FROM added) THEN RAISE EXCEPTION 'too slow' USING ERRCODE = '57014'; END IF;
       RETURN NULL; END $$`,
  );
  await broker.sql.query(
    `CREATE TRIGGER slow AFTER INSERT ON ledger_entries REFERENCING NEW TABLE AS added
     FOR EACH STATEMENT EXECUTE FUNCTION refuse_many()`,
  );
  await appendMany(batchSize + 1);
  await settled();
  await broker.sql.query('DROP TRIGGER slow ON ledger_entries');
});

test('a ledger that is far behind takes nothing new until it has caught up, and says when to come back', async () => {
  await settled();
  const ask = async (): Promise<Reply[]> =>
    Promise.all(
      broker.brokers.map(({ url }) => {
        const devices = [broker.contoso.devices[0]!.id];
        const body = { profile: 'diagnose', devices, duration: 'PT5M', reason: 'panel frozen' };
        return broker.call('ada', 'POST', '/v1/requests', body, { url });
      }),
    );
  const holder = await broker.sql.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('SELECT FROM ledger_state FOR UPDATE');
    for (let part = 0; part < 6; part++) await appendMany(10_000);
    await holder.query('COMMIT');
  } finally {
    holder.release();
  }
  // The broker that makes the batches knows.
  let refused: Reply | undefined;
  const deadline = performance.now() + 10_000;
  while (!refused && performance.now() < deadline) {
    refused = (await ask()).find(({ status }) => status === 503);
    await sleep(50);
  }
  assert.ok(refused, 'it took what came');
  assert.equal(refused.headers.get('retry-after'), '2');
  assert.match(String(refused.body.detail), /the ledger is behind/);
  while ((await broker.sql.query('SELECT FROM ledger_inbox OFFSET 1000 LIMIT 1')).rowCount! > 0) await sleep(100);
  await settled();
  assert.deepEqual(
    (await ask()).map(({ status }) => status),
    broker.brokers.map(() => 201),
  );
});

const once = 'FOR EACH STATEMENT EXECUTE FUNCTION fail_some()';

/** Steps of the sequencer, by the trigger that meets them. */
const sequencing = [
  ['taking events out of the inbox', `TRIGGER breaks AFTER DELETE ON ledger_inbox ${once}`],
  ['giving positions', `TRIGGER breaks AFTER INSERT ON ledger_entries ${once}`],
  ['growing tiles', `TRIGGER breaks AFTER INSERT OR UPDATE ON ledger_tiles ${once}`],
  ['saving the tree', `TRIGGER breaks AFTER UPDATE ON ledger_state ${once}`],
  [
    'committing',
    `CONSTRAINT TRIGGER breaks AFTER UPDATE ON ledger_state DEFERRABLE INITIALLY DEFERRED
     FOR EACH ROW EXECUTE FUNCTION fail_some()`,
  ],
] as const;

/** Makes the next `times` of what a trigger meets fail as on a full disk. @returns what mends it. */
const breakDown = async (trigger: string, times: number): Promise<() => Promise<void>> => {
  const [, table] = /ON (\w+)/.exec(trigger)!;
  // A sequence counts also what is rolled back.
  await broker.sql.query('CREATE SEQUENCE IF NOT EXISTS failures');
  await broker.sql.query('ALTER SEQUENCE failures RESTART');
  await broker.sql.query(
    `CREATE OR REPLACE FUNCTION fail_some() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
       IF nextval('public.failures') <= ${times} THEN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END IF;
       RETURN NULL; END $$`,
  );
  await broker.sql.query(`CREATE ${trigger}`);
  return async () => void (await broker.sql.query(`DROP TRIGGER breaks ON ${table}`));
};

describe('when one statement fails, the next attempt does it, and whoever waits for a receipt gets it', () => {
  for (const [step, trigger] of sequencing) {
    test(`while ${step}`, async () => {
      const grant = await broker.grant('ada', 'remediate');
      await settled();
      const mend = await breakDown(trigger, 1);
      const minted = await mint(grant);
      assert.equal(minted.status, 201, JSON.stringify(minted.body));
      const { rows } = await broker.sql.query('SELECT last_value FROM failures');
      assert.ok(rows[0]!.last_value > 1, 'the failure was met, and then not');
      await mend();
    });
  }
});

test('while it cannot be noted what entries speak of, receipts come and entries are found, and it is made up for later', async () => {
  const grant = await broker.grant('ada', 'remediate');
  await noted();
  const mend = await breakDown(`TRIGGER breaks AFTER INSERT ON ledger_subjects ${once}`, 1_000_000);
  const minted = await mint(grant);
  assert.equal(minted.status, 201, JSON.stringify(minted.body));
  await eventually(async () => (await broker.sql.query('SELECT is_called FROM failures')).rows[0]!.is_called);
  const { body } = await broker.call('aud', 'GET', `/v1/ledger/entries?subject=${grant.id}&type=credential.issued`);
  assert.equal(body.entries.length, 1, 'it is found by the grant');
  await mend();
  await noted();
});

test('what brokers have not noted before they died is made up for by others, and receipts come meanwhile', async () => {
  const grant = await broker.grant('ada', 'remediate');
  await appendMany(5_000);
  await settled();
  await noted();
  const holder = await broker.sql.connect();
  try {
    // As if they had died behind the commit, long ago.
    await holder.query('BEGIN');
    await holder.query('UPDATE ledger_indexed SET size = 0');
    await holder.query('DELETE FROM ledger_subjects WHERE position % 2 = 0');
    // Until then, whoever notes anything waits.
    for (let turn = 0; turn < 5; turn++) {
      const minted = await mint(grant);
      assert.equal(minted.status, 201, JSON.stringify(minted.body));
    }
    await holder.query('COMMIT');
  } finally {
    holder.release();
  }
  await noted();
});

test('what cannot be filed for the ledger does not happen', async () => {
  const mend = await breakDown(`TRIGGER breaks AFTER INSERT ON ledger_inbox ${once}`, 1_000_000);
  const events = await broker.sql.query('SELECT FROM audit_events');
  const requests = await broker.sql.query('SELECT FROM requests');
  const body = { profile: 'remediate', devices: [broker.contoso.devices[0]!.id], duration: 'PT10M', reason: 'x' };
  const asked = await broker.call('ada', 'POST', '/v1/requests', body);
  assert.equal(asked.status, 503, JSON.stringify(asked.body));
  assert.equal((await broker.sql.query('SELECT FROM audit_events')).rowCount, events.rowCount);
  assert.equal((await broker.sql.query('SELECT FROM requests')).rowCount, requests.rowCount);
  await mend();
  assert.equal((await broker.call('ada', 'POST', '/v1/requests', body)).status, 201);
});

test('while the sequencer cannot run no credential is issued, ends are recorded, and then receipts come again', async () => {
  const grant = await broker.grant('ada', 'remediate');
  const other = await broker.grant('ben', 'remediate');
  await settled();
  const mend = await breakDown(`TRIGGER breaks AFTER UPDATE ON ledger_state ${once}`, 1_000_000);
  const minting = mint(grant);
  const short = (await broker.ask('ada', 'diagnose', { duration: 'PT1S' })).grant;
  assert.equal((await broker.call('chloe', 'POST', `/v1/grants/${other.id}/revoke`, { reason: 'odd' })).status, 200);
  const refused = await minting;
  assert.equal(refused.status, 503, JSON.stringify(refused.body));
  assert.equal(refused.body.credential, undefined);
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  const recorded = await broker.events('grant.expired', 'grant.revoked');
  assert.deepEqual(
    recorded.filter((event) => [short.id, other.id].includes(event.grant)).map((event) => event.type),
    ['grant.revoked', 'grant.expired'],
  );
  await mend();
  assert.ok((await settled()) < 1_000);
  assert.equal((await mint(grant)).status, 201);
});

test('a sequencer that is killed in the middle holds nobody up for a second', async () => {
  await settled();
  await broker.sql.query(
    `CREATE OR REPLACE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN PERFORM pg_sleep(20); RETURN NEW; END $$`,
  );
  await broker.sql.query('CREATE TRIGGER dawdles BEFORE UPDATE ON ledger_state FOR EACH ROW EXECUTE FUNCTION dawdle()');
  assert.equal((await rename('dawdle')).status, 200);
  const sleeping = `FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep' AND application_name = 'latchkey'`;
  await eventually(async () => (await broker.sql.query(`SELECT ${sleeping}`)).rowCount! > 0);
  // The next one is as quick as ever, also if it begins at once.
  await broker.sql.query(
    `CREATE OR REPLACE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
  );
  assert.equal((await broker.sql.query(`SELECT pg_terminate_backend(pid) ${sleeping}`)).rowCount, 1);
  assert.ok((await settled()) < 1_000);
  await broker.sql.query('DROP TRIGGER dawdles ON ledger_state');
});

test('a sequencer that hangs with the ledger in its hands loses it within about a second', async () => {
  await settled();
  const pool = openPool({ url: broker.database.appUrl, size: 1 });
  const stuck = inTransaction(pool, async (tx) => {
    assert.ok(await lockLedgerState(tx));
    await rename('stuck');
    await sleep(3_000);
    return tx.query({ text: 'SELECT 1' });
  });
  const lost = assert.rejects(stuck);
  await sleep(50);
  assert.ok((await settled()) < 2_000);
  await lost;
  await pool.end();
});

test('positions are given by the transaction that has the ledger, and by no other', async () => {
  await settled();
  const pool = openPool({ url: broker.database.appUrl, size: 1 });
  const holder = await broker.sql.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('SELECT FROM ledger_state FOR UPDATE');
    await rename('waits');
    await inTransaction(pool, async (tx) => {
      const [state, placed] = await Promise.all([lockLedgerState(tx), placeWaiting(tx, batchSize, 0)]);
      assert.equal(state, null);
      assert.deepEqual(placed, []);
    });
    // A statement that stands alone, as it would if the `BEGIN` before it came to nothing.
    const alone = { query: pool.query.bind(pool) } as unknown as Tx;
    assert.deepEqual(await placeWaiting(alone, batchSize, 0), []);
    assert.equal((await broker.sql.query('SELECT FROM ledger_inbox')).rowCount, 1);
    await holder.query('ROLLBACK');
    assert.deepEqual(await placeWaiting(alone, batchSize, 0), []);
  } finally {
    holder.release(true);
    await pool.end();
  }
  await requireWhole();
});

const flip = 'UPDATE audit_events SET bytes = set_bit(bytes, 800, 1 - get_bit(bytes, 800)) WHERE id = $1';
const damages: readonly [what: string, damage: string, repair: string, complaint: string][] = [
  ['a bit that flips', flip, flip, 'is not as it was written'],
  [
    'an event that goes',
    'WITH gone AS (DELETE FROM audit_events WHERE id = $1 RETURNING *) INSERT INTO pg_temp.kept SELECT * FROM gone',
    'INSERT INTO audit_events SELECT * FROM pg_temp.kept WHERE id = $1',
    'is gone',
  ],
];
for (const [what, damage, repair, complaint] of damages) {
  test(`${what} between writing and sequencing is refused, not signed`, async (t) => {
    await settled();
    const state = async () => (await broker.sql.query('SELECT size, root, checkpoint FROM ledger_state')).rows[0];
    const before = await state();
    const vandal = await broker.sql.connect();
    t.after(() => vandal.release());
    await vandal.query('CREATE TEMPORARY TABLE IF NOT EXISTS kept (LIKE audit_events)');
    await vandal.query('BEGIN');
    await vandal.query('SELECT FROM ledger_state FOR UPDATE');
    assert.equal((await rename(what)).status, 200);
    const { rows } = await vandal.query<{ event: string }>('SELECT event FROM ledger_inbox');
    const event = rows[0]!.event;
    await vandal.query('ALTER TABLE audit_events DISABLE TRIGGER history_rows_stay');
    await vandal.query(damage, [event]);
    await vandal.query('COMMIT');
    const said = (): boolean =>
      broker.logLines.some((line) => (line as { error?: string }).error === `the event \`${event}\` ${complaint}`);
    for (let i = 0; i < 500 && !said(); i++) await sleep(20);
    assert.ok(said(), `nobody said that the event ${complaint}`);
    assert.deepEqual(await state(), before, 'nothing is signed over it');
    const { exitCode, answer } = await verify('--database', broker.database.auditorUrl, '--key', vkey);
    assert.equal(exitCode, 1);
    assert.match(answer.reason, new RegExp(`\`${event}\` waits for a position and is not as it was written`));

    await vandal.query('ALTER TABLE audit_events DISABLE TRIGGER every_event_is_sequenced');
    await vandal.query(repair, [event]);
    for (const name of ['history_rows_stay', 'every_event_is_sequenced']) {
      await vandal.query(`ALTER TABLE audit_events ENABLE ALWAYS TRIGGER ${name}`);
    }
    await settled();
  });
}
