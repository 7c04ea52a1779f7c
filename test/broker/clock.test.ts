import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBroker, type ServeLog } from '../../src/serve.ts';
import { newTestBroker } from '../support/broker.ts';
import { eventually, mint, ok, refused, scenarios, sleep, unswept } from './support/scenario.ts';

scenarios(
  (broker) => {
    const short = (more: object = {}) => broker().ask('ada', 'diagnose', { duration: 'PT1S', ...more });
    const get = (id: string) => ok(broker().call('ada', 'GET', `/v1/grants/${id}`));
    const ids = async (query: string): Promise<string[]> =>
      (await ok(broker().call('ada', 'GET', `/v1/grants?${query}`))).items.map((grant: { id: string }) => grant.id);
    const expired = async (id: string) => (await broker().events('grant.expired')).filter((e) => e.grant === id);

    test('a grant ends at its very moment, and its event follows within a second', async () => {
      const lateness: number[] = [];
      let grant = { id: '', expiresAt: '' };
      for (let round = 0; round < 3; round++) {
        ({ grant } = await short());
        const [event] = await eventually(async () => {
          const events = await expired(grant.id);
          return events.length > 0 && events;
        });
        lateness.push(Date.parse(event.at) - Date.parse(grant.expiresAt));
        assert.equal(event.expiresAt, grant.expiresAt);
      }
      // A machine that is busy with other things may be late now and then, but not each time.
      assert.ok(Math.min(...lateness) >= 0 && Math.min(...lateness) < 1_000, lateness.join(', '));
      const ended = await get(grant.id);
      assert.equal(ended.state, 'expired');
      assert.equal(ended.endedAt, grant.expiresAt, 'ended when it was to, whenever that was noticed');
      assert.deepEqual([ended.endedBy, ended.endReason], [null, null]);
    });

    test('states follow the clock in answers and filters, whoever has recorded them', async () => {
      const { grant } = await short({ duration: 'PT8S' });
      await unswept(broker(), 'grants', grant.id, async () => {
        assert.equal((await get(grant.id)).state, 'active');
        assert.ok((await ids('state=active')).includes(grant.id));
        await sleep(Date.parse(grant.expiresAt) - Date.now() + 20);
        assert.equal((await get(grant.id)).state, 'expired');
        assert.ok((await ids('state=expired&state=revoked')).includes(grant.id));
        assert.ok(!(await ids('state=active&state=scheduled')).includes(grant.id));
        assert.deepEqual(await expired(grant.id), [], 'nobody has recorded it');
        const request = await ok(broker().call('ada', 'GET', `/v1/requests/${grant.request}`));
        assert.equal(request.grant.state, 'expired');
      });
      refused(await mint(broker(), 'ada', grant), 409);
      refused(await broker().call('ada', 'POST', `/v1/grants/${grant.id}/release`), 409);
      refused(await broker().call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'late' }), 409);
      await eventually(async () => (await expired(grant.id)).length === 1);
    });

    test('a scheduled grant is active by the clock, but on no device before its start is recorded', async () => {
      const startsAt = new Date(Date.now() + 8_000).toISOString();
      const device = broker().contoso.devices[1]!;
      const { grant } = await broker().ask('ada', 'diagnose', { startsAt, devices: [device.id] });
      await unswept(broker(), 'grants', grant.id, async () => {
        assert.equal((await get(grant.id)).state, 'scheduled');
        assert.ok((await ids('state=scheduled')).includes(grant.id));
        await sleep(Date.parse(startsAt) - Date.now() + 20);
        assert.equal((await get(grant.id)).state, 'active');
        assert.ok((await ids('state=active')).includes(grant.id));
        const { text } = await device.call('GET', '/v1/agent/live-grants');
        assert.ok(!Buffer.from(text.split('.')[1]!, 'base64url').toString().includes(grant.id));
      });
      await eventually(async () => (await broker().events('grant.started')).some((e) => e.grant === grant.id));
      await ok(broker().call('ada', 'POST', `/v1/grants/${grant.id}/release`));
    });

    test('overlapping grants are independent: the end of one ends no other', async () => {
      const { grant: long } = await short({ duration: 'PT1M' });
      const { grant: brief } = await short();
      const { grant: given } = await short({ duration: 'PT1M' });
      await ok(broker().call('ada', 'POST', `/v1/grants/${given.id}/release`));
      await eventually(async () => (await expired(brief.id)).length === 1);
      assert.equal((await get(long.id)).state, 'active');
      assert.equal((await mint(broker(), 'ada', long)).status, 201);
    });

    test('many that end in one second are each recorded once', async () => {
      const grants = await Promise.all(Array.from({ length: 40 }, () => short()));
      await eventually(async () => {
        const recorded = (await broker().events('grant.expired')).map((event) => event.grant);
        return grants.every(({ grant }) => recorded.filter((id) => id === grant.id).length === 1);
      });
    });
  },
  { concurrency: true },
);

test('after an outage everything that fell due is recorded, once, and nothing was usable meanwhile', async () => {
  const broker = await newTestBroker();
  const running = [];
  try {
    const due = await Promise.all([
      ...Array.from({ length: 20 }, () => broker.ask('ada', 'diagnose', { duration: 'PT2S' })),
      broker.ask('ada', 'diagnose', {
        startsAt: new Date(Date.now() + 5_000).toISOString(),
        duration: 'PT1S',
      }),
    ]);
    const begins = await broker.ask('ada', 'diagnose', { startsAt: new Date(Date.now() + 5_500).toISOString() });
    const lapsing = await broker.ask('ada', 'remediate');
    await broker.brokers[0]!.stop();
    // More than one batch, all due while nobody runs.
    await manyDueGrants(broker.sql, due[0].grant, 4_500);
    await sleep(Date.parse(begins.startsAt) - Date.now() + 600);
    const quiet: ServeLog = { info() {}, warn() {}, error() {} };
    running.push(
      await startBroker(broker.config, quiet),
      await startBroker({ ...broker.config, listen: { host: '127.0.0.1', port: 0 } }, quiet),
    );
    const count = async (text: string): Promise<number> => (await broker.sql.query(text)).rows[0].count;
    await eventually(
      async () => (await count(`SELECT count(*)::int FROM audit_events WHERE type = 'grant.expired'`)) >= 4_521,
      15_000,
    );
    assert.equal(await count(`SELECT count(*)::int FROM audit_events WHERE type = 'grant.expired'`), 4_521);
    assert.equal(await count(`SELECT count(*)::int FROM grants WHERE expiry_recorded_at IS NOT NULL`), 4_521);
    const events = await broker.events('grant.started');
    assert.ok(
      events.some((event) => event.grant === begins.grant.id),
      'what was to begin has begun',
    );
    assert.ok(!events.some((event) => event.grant === due.at(-1).grant.id), 'what was over before has not');
    assert.equal((await ok(broker.call('ada', 'GET', `/v1/requests/${lapsing.id}`))).state, 'pending');
    refused(await mint(broker, 'ada', due[0].grant), 409);
  } finally {
    await Promise.all(running.map((each) => each.stop()));
    await broker.stop();
  }
});

/** Copies of a grant whose time was up a second after it began. */
async function manyDueGrants(
  sql: Awaited<ReturnType<typeof newTestBroker>>['sql'],
  grant: { id: string },
  number: number,
): Promise<void> {
  const id = (kind: string): string => `'${kind}_01h455vb4pex5' || translate(lpad(to_hex(n), 13, '0'), 'ilou', '0123')`;
  await sql.query(
    `INSERT INTO requests SELECT (jsonb_populate_record(r, jsonb_build_object('id', ${id('req')}, 'grant_id', NULL,
       'state', 'denied'))).* FROM requests r JOIN grants g ON g.request = r.id, generate_series(1, $2::int) AS n WHERE g.id = $1`,
    [grant.id, number],
  );
  await sql.query(
    `INSERT INTO grants SELECT (jsonb_populate_record(g, jsonb_build_object('id', ${id('grt')}, 'request', ${id('req')},
       'expires_at', g.starts_at + interval '1 second'))).* FROM grants g, generate_series(1, $2::int) AS n WHERE g.id = $1`,
    [grant.id, number],
  );
  await sql.query(
    `INSERT INTO grant_devices SELECT ${id('grt')}, d.device, d.position, d.expires_at
     FROM grant_devices d, generate_series(1, $2::int) AS n WHERE d.grant_id = $1`,
    [grant.id, number],
  );
}
