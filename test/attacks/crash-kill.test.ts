import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { hangAt } from '../support/hang.ts';
import { startBrokerProcess } from '../support/broker-process.ts';
import { connect } from '../support/sql.ts';
import { stateOf, steps } from '../support/steps.ts';

let broker: TestBroker;
let holder: Client;
before(async () => {
  broker = await newTestBroker();
  holder = await connect(broker.database.superuserUrl);
});
after(async () => {
  await holder.end();
  await broker.stop();
});

const killedAt = [
  'asking',
  'approving',
  'getting a credential',
  'extending',
  'revoking',
  'releasing',
  'enrolling a device',
];

for (const name of killedAt) {
  test(`killed before the commit of ${name}, nothing of it is there, and a retry does it once`, async () => {
    const step = await steps[name]!(broker);
    const process = await startBrokerProcess(broker);
    const before = await stateOf(broker);
    const hanging = await hangAt(broker, holder, step.event);
    const key = randomUUID();
    const answer = step.send(process.url, key).then(
      (reply) => reply.status,
      () => 'no answer',
    );
    await hanging.reached();
    await process.kill();
    assert.equal(await answer, 'no answer');
    await hanging.release();
    assert.deepEqual(await stateOf(broker), before);

    const { url } = broker.brokers[0]!;
    const retried = await step.send(url, key);
    assert.equal(retried.status, step.status, JSON.stringify(retried.body));
    const done = await stateOf(broker);
    assert.notDeepEqual(done, before);
    const again = await step.send(url, key);
    if (step.who !== null) assert.deepEqual([again.status, again.body], [retried.status, retried.body]);
    else assert.equal(again.status, 403, 'a code enrols once');
    assert.deepEqual(await stateOf(broker), done);
    await broker.checkLedger();
  });
}
