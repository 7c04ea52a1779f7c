import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { stateOf, steps } from '../support/steps.ts';

let broker: TestBroker;
before(async () => {
  broker = await newTestBroker();
  await broker.sql.query(`
    CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'could not extend file: no space left on device' USING ERRCODE = 'disk_full';
    END $$`);
});
after(() => broker.stop());

/** The tables that each step writes: a failure in any of them must undo all the others. */
const written: Record<string, string> = {
  asking: 'requests disclosures audit_events idempotent_answers',
  'asking for what needs no approval':
    'requests grants grant_devices live_versions disclosures audit_events idempotent_answers',
  'breaking the glass':
    'requests grants grant_devices live_versions alarms notices disclosures audit_events idempotent_answers',
  approving:
    'requests decisions grants grant_devices live_versions notices disclosures audit_events idempotent_answers',
  denying: 'requests decisions notices disclosures audit_events idempotent_answers',
  cancelling: 'requests audit_events idempotent_answers',
  'getting a credential': 'grants credentials disclosures audit_events idempotent_answers used_proofs',
  extending: 'requests grants grant_devices live_versions disclosures audit_events idempotent_answers',
  revoking: 'requests grants live_versions notices disclosures audit_events idempotent_answers',
  releasing: 'grants live_versions audit_events idempotent_answers',
  'making a tenant': 'tenants audit_events',
  'enrolling a device': 'live_versions devices enrolment_codes audit_events',
  'taking a device out': 'grants grant_devices live_versions devices notices audit_events',
};

async function failing<T>(table: string, work: () => Promise<T>): Promise<T> {
  await broker.sql.query(
    `CREATE TRIGGER fails BEFORE INSERT OR UPDATE OR DELETE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION disk_full()`,
  );
  try {
    return await work();
  } finally {
    await broker.sql.query(`DROP TRIGGER fails ON ${table}`);
  }
}

for (const [name, tables] of Object.entries(written)) {
  test(`${name} fails whole, whichever of its writes fails, and is done once by a retry`, async () => {
    const { url } = broker.brokers[0]!;
    for (const table of tables.split(' ')) {
      const step = await steps[name]!(broker);
      const key = randomUUID();
      const before = await stateOf(broker);
      const failed = await failing(table, () => step.send(url, key));
      assert.equal(failed.status, 503, `${table}: ${JSON.stringify(failed.body)}`);
      assert.equal(failed.body.type, 'urn:latchkey:problem:unavailable');
      assert.match(failed.headers.get('retry-after') ?? '', /^\d+$/);
      assert.doesNotMatch(JSON.stringify(failed.body), /space left/);
      assert.deepEqual(await stateOf(broker), before, `${table}: something is left`);
      const retried = await step.send(url, key);
      assert.equal(retried.status, step.status, `${table}: ${JSON.stringify(retried.body)}`);
      if (step.method !== 'POST' || step.who === null) continue;
      const done = await stateOf(broker);
      assert.deepEqual((await step.send(url, key)).body, retried.body);
      assert.deepEqual(await stateOf(broker), done);
    }
    await broker.checkLedger();
  });
}

test('every step of the scenario is among them', () => {
  assert.deepEqual(Object.keys(written), Object.keys(steps));
});
