import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newTestBroker, type Reply, type TestBroker } from '../support/broker.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { stateOf, steps, type Step } from '../support/steps.ts';

let broker: TestBroker;
let key: EngineerKey;
before(async () => {
  broker = await newTestBroker({ quiet: true });
  key = await newEngineerKey();
});
after(() => broker.stop());

const mint = async (grant: Reply['body']): Promise<Reply> => {
  const path = `/v1/grants/${grant.id}/credentials`;
  const headers = { dpop: await key.proof('POST', broker.config.publicUrl + path) };
  return broker.call('ada', 'POST', path, { device: grant.devices[0] }, { headers });
};

/** Ways in which the ledger takes nothing more, and how each is mended. */
const failures: Record<string, readonly [string, string]> = {
  'its disk is full': [
    `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
     CREATE TRIGGER full_disk BEFORE INSERT ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION full_disk()`,
    'DROP FUNCTION full_disk CASCADE',
  ],
  'there is no partition for this month': [
    `DO $$ BEGIN EXECUTE format('ALTER TABLE audit_events DETACH PARTITION %I',
       'audit_events_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY_MM')); END $$`,
    `DO $$ DECLARE month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC'); BEGIN
       EXECUTE format('DROP TRIGGER IF EXISTS history_rows_stay ON %I', 'audit_events_' || to_char(month, 'YYYY_MM'));
       EXECUTE format('ALTER TABLE audit_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
         'audit_events_' || to_char(month, 'YYYY_MM'), month::text || '+00', (month + interval '1 month')::text || '+00'); END $$`,
  ],
  'the broker’s right to it is gone': [
    'REVOKE INSERT ON audit_events FROM latchkey_app',
    'GRANT INSERT ON audit_events TO latchkey_app',
  ],
};

for (const [failure, [fail, mend]] of Object.entries(failures)) {
  describe(`when the ledger takes nothing because ${failure}`, () => {
    test('nothing new is granted, nothing ends without its event, and what runs still expires', async () => {
      const { url } = broker.brokers[0]!;
      const prepared: [string, Step][] = [];
      for (const [name, prepare] of Object.entries(steps)) prepared.push([name, await prepare(broker)]);
      const running = await broker.grant('ada', 'diagnose', { duration: 'PT4S' });
      assert.equal((await mint(running)).status, 201);
      await broker.sql.query(fail);
      try {
        const before = await stateOf(broker);
        for (const [name, step] of prepared) {
          const { status, body } = await step.send(url, null);
          assert.ok(status === 503 || status === 500, `${name}: ${status} ${JSON.stringify(body)}`);
        }
        assert.deepEqual(await stateOf(broker), before);
        assert.notEqual((await mint(running)).status, 201, 'a credential was issued unlogged');
        await sleep(Math.max(0, Date.parse(running.expiresAt) - Date.now() + 50));
        const { body } = await broker.call('ada', 'GET', `/v1/grants/${running.id}`);
        assert.equal(body.state, 'expired');
        assert.equal((await mint(running)).status, 409);
        const active = await broker.call('ada', 'GET', '/v1/grants?state=active&limit=200');
        assert.ok(!active.body.items.some((grant: { id: string }) => grant.id === running.id));
        assert.deepEqual(await stateOf(broker), before);
      } finally {
        await broker.sql.query(mend);
      }
      for (let tries = 0; tries < 200; tries++) {
        if ((await broker.events('grant.expired')).some((event) => event.grant === running.id)) break;
        await sleep(25);
      }
      await broker.grant('ada', 'remediate');
      await broker.checkLedger();
      const expired = (await broker.events('grant.expired')).filter((event) => event.grant === running.id);
      assert.equal(expired.length, 1, 'its end was not recorded once the ledger was back');
    });
  });
}
