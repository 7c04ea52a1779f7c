import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Client } from 'pg';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { hangAt, hangReading, letVictimsHang, type Hanging } from '../support/hang.ts';
import { startBrokerProcess } from '../support/broker-process.ts';
import { connect } from '../support/sql.ts';
import { stateOf, steps, type Step } from '../support/steps.ts';

let broker: TestBroker;
let holder: Client;
before(async () => {
  broker = await newTestBroker();
  holder = await connect(broker.database.superuserUrl);
  await letVictimsHang(broker);
});
after(async () => {
  await holder.end();
  await broker.stop();
});

/** What is killed, and the table that it reads first. */
const killedAt = {
  asking: 'devices',
  approving: 'requests',
  'getting a credential': 'grants',
  extending: 'grants',
  revoking: 'grants',
  releasing: 'grants',
  'enrolling a device': 'enrolment_codes',
};

for (const [name, table] of Object.entries(killedAt)) {
  test(`killed before ${name} is written, nothing of it is there, and a retry does it once`, async () => {
    await killed(name, () => hangReading(broker, holder, table), 'nothing');
  });
  test(`killed while the commit of ${name} is on its way, all of it or nothing is there, and a retry does it once`, async () => {
    await killed(name, ({ event }) => hangAt(broker, holder, event), 'all or nothing');
  });
}

async function killed(
  name: string,
  hang: (step: Step) => Promise<Hanging>,
  left: 'nothing' | 'all or nothing',
): Promise<void> {
  const step = await steps[name]!(broker);
  const process = await startBrokerProcess(broker);
  const before = await stateOf(broker);
  const hanging = await hang(step);
  const key = randomUUID();
  const answer = step.send(process.url, key).then(
    (reply) => reply.status,
    () => 'no answer',
  );
  await hanging.reached();
  await process.kill();
  assert.equal(await answer, 'no answer');
  await hanging.release();
  const found = await stateOf(broker);
  if (left === 'nothing') assert.deepEqual(found, before);

  const { url } = broker.brokers[0]!;
  const retried = await step.send(url, key);
  const wasDone = !isDeepStrictEqual(found, before);
  const expected = wasDone && step.who === null ? 403 : step.status;
  assert.equal(retried.status, expected, JSON.stringify(retried.body));
  const done = await stateOf(broker);
  assert.notDeepEqual(done, before);
  if (wasDone) assert.deepEqual(done, found, 'it was done twice');
  const again = await step.send(url, key);
  if (step.who !== null) assert.deepEqual([again.status, again.body], [retried.status, retried.body]);
  else assert.equal(again.status, 403, 'a code enrols once');
  assert.deepEqual(await stateOf(broker), done);
  await broker.checkLedger();
}
