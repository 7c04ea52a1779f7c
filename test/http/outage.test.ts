import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LatchkeyError } from '../../src/domain/errors.ts';
import { openPool } from '../../src/store/pool.ts';
import { databaseNow, inTransaction } from '../../src/store/transaction.ts';
import { asRole, newTestBroker, people, type Reply, type TestBroker, type Who } from '../support/broker.ts';
import { startCutProxy, type CutProxy } from '../support/cut-proxy.ts';

let broker: TestBroker;
let way: CutProxy;
before(async () => {
  broker = await newTestBroker({
    async databaseUrl(url) {
      way = await startCutProxy(url);
      const through = new URL(url);
      through.hostname = '127.0.0.1';
      through.port = String(way.port);
      return through.href;
    },
  });
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
  await way.stop();
});

const ask = (who: Who = 'ada'): Promise<Reply> =>
  broker.call(who, 'POST', '/v1/requests', {
    profile: 'diagnose',
    devices: [broker.contoso.devices[0]!.id],
    duration: 'PT5M',
    reason: 'outage',
  });
const ready = async (): Promise<number> => (await broker.call(null, 'GET', '/readyz')).status;
const counts = async (): Promise<string> => {
  const { rows } = await broker.sql.query(
    'SELECT (SELECT count(*) FROM requests) AS requests, (SELECT count(*) FROM grants) AS grants, (SELECT count(*) FROM audit_events) AS events',
  );
  return JSON.stringify(rows);
};

function assertUnavailable({ status, headers, body }: Reply): void {
  assert.equal(status, 503, JSON.stringify(body));
  assert.match(headers.get('retry-after') ?? '', /^[1-9]\d*$/);
  assert.equal(body.type, 'urn:latchkey:problem:unavailable');
  assert.doesNotMatch(JSON.stringify(body), /ECONN|127\.0\.0\.1|postgres|latchkey_app|password/);
}

/** It heals by itself, soon: nobody has to do anything. */
async function assertRecovers(): Promise<void> {
  const deadline = Date.now() + 8_000;
  while ((await ready()) !== 200) {
    assert.ok(Date.now() < deadline, 'it did not recover');
    await new Promise((later) => setTimeout(later, 50));
  }
  assert.equal((await ask()).status, 201);
}

describe('the database', () => {
  test('gone: 503 with Retry-After to all that need it, nothing granted, and it comes back by itself', async () => {
    assert.equal((await ask()).status, 201);
    const before = await counts();
    way.cut();
    assert.equal(await ready(), 503);
    assert.equal((await broker.call(null, 'GET', '/livez')).status, 200);
    assert.equal((await broker.call(null, 'GET', '/.well-known/jwks.json')).status, 200);
    for (const reply of await Promise.all(Array.from({ length: 20 }, () => ask()))) assertUnavailable(reply);
    for (const path of ['/v1/requests', '/v1/devices', '/v1/grants?view=mine']) {
      assertUnavailable(await broker.call('ada', 'GET', path));
    }
    const device = broker.contoso.devices[0]!;
    const signIn = await device.signIn();
    assert.equal(signIn.status, 503);
    assert.equal(signIn.body['error'], 'temporarily_unavailable');
    assert.equal(await counts(), before);
    way.mend();
    await assertRecovers();
  });

  test('cut off in mid-call: whoever was told nothing or 503 can ask again, and what was told holds', async () => {
    const replies = Promise.allSettled(Array.from({ length: 30 }, () => ask()));
    await new Promise((underWay) => setTimeout(underWay, 15));
    way.cut();
    way.mend();
    const got = (await replies).map((each) =>
      each.status === 'fulfilled' ? each.value : assert.fail(String(each.reason)),
    );
    for (const reply of got) if (reply.status !== 201) assertUnavailable(reply);
    await assertRecovers();
    const { rows } = await broker.sql.query<{ id: string }>('SELECT id FROM requests');
    const stored = new Set(rows.map(({ id }) => id));
    for (const reply of got) if (reply.status === 201) assert.ok(stored.has(reply.body.id as string));
    await broker.checkLedger();
  });

  test('throwing every connection out: the next call finds another', async () => {
    await Promise.all(Array.from({ length: 10 }, () => ask()));
    await broker.sql.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'latchkey_app'`,
    );
    await assertRecovers();
    for (const { status } of await Promise.all(Array.from({ length: 10 }, () => ask()))) assert.equal(status, 201);
  });

  test('taking no connections, as in a failover: 503, then as before', async () => {
    const { name, superuserUrl } = broker.database;
    const elsewhere = new URL(superuserUrl);
    elsewhere.pathname = '/postgres';
    await asRole(elsewhere.href, `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    way.cut();
    way.mend();
    const refused = await ask();
    const state = await ready();
    await asRole(elsewhere.href, `ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
    assertUnavailable(refused);
    assert.equal(state, 503);
    await assertRecovers();
  });

  test('without a partition for this month: 503 with Retry-After, and the broker makes it', async () => {
    const { rows } = await broker.sql.query<{ name: string }>(
      `SELECT 'audit_events_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY_MM') AS name`,
    );
    const { name } = rows[0]!;
    // Something is due soon, and cannot be recorded either.
    const brief = { profile: 'diagnose', devices: [broker.contoso.devices[0]!.id], duration: 'PT1S', reason: 'x' };
    assert.equal((await broker.call('ada', 'POST', '/v1/requests', brief)).status, 201);
    const unplaced = () => broker.sql.query('SELECT 1 FROM ledger_inbox');
    while ((await unplaced()).rows.length > 0) await new Promise((soon) => setTimeout(soon, 20));
    await broker.sql.query(`ALTER TABLE audit_events DETACH PARTITION ${name}`);
    await broker.sql.query(`ALTER TABLE ${name} RENAME TO set_aside`);
    assertUnavailable(await ask());
    const deadline = Date.now() + 8_000;
    while ((await ask()).status !== 201) assert.ok(Date.now() < deadline, 'it did not recover');
    await broker.sql.query(`INSERT INTO ${name} SELECT * FROM set_aside`);
    await broker.sql.query('DROP TABLE set_aside');
    await broker.checkLedger();
  });

  test('read-only, as an old primary: 503, and nothing half done', async () => {
    const { name } = broker.database;
    const before = await counts();
    await broker.sql.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    way.cut();
    way.mend();
    const reply = await ask();
    await broker.sql.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
    assertUnavailable(reply);
    assert.equal(await counts(), before);
    await assertRecovers();
  });

  test('behind a network that loses everything: nobody waits for ever, and it heals', async () => {
    const url = new URL(broker.database.appUrl);
    url.hostname = '127.0.0.1';
    url.port = String(way.port);
    const pool = openPool({ url: url.href, answerWithin: 500 });
    await databaseNow(pool);
    way.swallow();
    const lost = (error: unknown): boolean => error instanceof LatchkeyError && error.code === 'unavailable';
    const started = performance.now();
    await assert.rejects(databaseNow(pool), lost);
    way.mend();
    await databaseNow(pool);
    await assert.rejects(
      inTransaction(pool, (tx) => {
        way.swallow();
        return databaseNow(tx);
      }),
      lost,
    );
    assert.ok(performance.now() - started < 5_000);
    way.mend();
    await databaseNow(pool);
    await pool.end();
    await assertRecovers();
  });

  test('with every connection taken: who gets none in time is told to come back', async () => {
    const holder = await broker.sql.connect();
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE requests IN ACCESS EXCLUSIVE MODE');
    const stuck = Array.from({ length: 10 }, () => ask());
    await new Promise((taken) => setTimeout(taken, 300));
    const started = performance.now();
    const late = await broker.call('ada', 'GET', '/v1/devices');
    const waited = performance.now() - started;
    await holder.query('ROLLBACK');
    holder.release();
    assertUnavailable(late);
    assert.ok(waited < 6_000, `${waited} ms`);
    for (const { status } of await Promise.all(stuck)) assert.ok(status === 201 || status === 503, String(status));
    await assertRecovers();
  });
});

describe('the identity provider', () => {
  test('gone: whose keys are known go on, and of a key that is not known nobody says that it is wrong', async () => {
    assert.equal((await broker.call('ben', 'GET', '/v1/me')).status, 200);
    broker.issuer.setDown(true);
    const fresh = { ...people.ben, name: 'Ben L.' };
    assert.equal((await broker.call(fresh, 'GET', '/v1/me')).status, 200, 'a new token under a known key');
    await broker.issuer.rotate();
    const renewed = { ...people.ben, name: 'B. Lindqvist' };
    // Having just asked, the broker does not ask again for ten seconds, and takes the key for an invented one.
    let unknown = await broker.call(renewed, 'GET', '/v1/me');
    for (let tries = 0; unknown.status === 401 && tries < 60; tries++) {
      await new Promise((later) => setTimeout(later, 250));
      unknown = await broker.call(renewed, 'GET', '/v1/me');
    }
    assertUnavailable(unknown);
    broker.issuer.setDown(false);
    const deadline = Date.now() + 12_000;
    for (;;) {
      const { status } = await broker.call(renewed, 'GET', '/v1/me');
      if (status === 200) break;
      assert.equal(status, 503);
      assert.ok(Date.now() < deadline, 'it did not ask the provider again');
      await new Promise((later) => setTimeout(later, 250));
    }
  });
});
