import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newTestBroker, type Reply, type TestBroker, type Who } from '../support/broker.ts';
import { decide, eventually, ok, policiesCopy, sleep } from '../broker/support/scenario.ts';

/** Two brokers on one database; each side of a race calls its own. */
const rounds = 20;
let broker: TestBroker;
const policies = await policiesCopy({
  update: async (shipped) => ({ ...(await shipped('update')), lapse: 'PT1S' }),
  'release-secret': async (shipped) => ({
    ...(await shipped('release-secret')),
    stages: [{ name: 'lead', from: ['room-leads'], needs: 2 }],
  }),
});
before(async () => {
  broker = await newTestBroker({ brokers: 2, policies: policies.directory });
  // Everybody is known before the races begin, and every pool has its connections.
  const everyone: Who[] = ['ada', 'chloe', 'dmitri', 'carmen', 'olu'];
  await Promise.all(
    everyone.flatMap((who) => [0, 1].map((side) => broker.call(who, 'GET', '/v1/me', undefined, { broker: side }))),
  );
});
after(async () => {
  try {
    await broker.checkLedger();
  } finally {
    await broker.stop();
    await policies.remove();
  }
});

const statuses = (replies: readonly Reply[]): number[] => replies.map(({ status }) => status).sort((a, b) => a - b);
const get = (id: string) => ok(broker.call('chloe', 'GET', `/v1/requests/${id}`));
const cancel = (id: string, side: number) =>
  broker.call('ada', 'POST', `/v1/requests/${id}/cancel`, undefined, { broker: side });
const grantsOf = async (request: string): Promise<number> =>
  (await broker.sql.query('SELECT id FROM grants WHERE request = $1', [request])).rows.length;

/** Runs two calls at once, on different brokers, each as often first as the other, and a little apart. */
async function race(round: number, ...calls: ((side: number) => Promise<Reply>)[]): Promise<Reply[]> {
  const order = round % 2 === 0 ? calls : calls.toReversed();
  const replies = await Promise.all(
    order.map(async (call, index) => {
      await sleep(index * (round % 5));
      return call((index + round) % 2);
    }),
  );
  return round % 2 === 0 ? replies : replies.toReversed();
}

test('of two leads who approve at once one grants and the other is told 409', async () => {
  for (let round = 0; round < rounds; round++) {
    const request = await broker.ask('ada', 'remediate');
    const replies = await race(
      round,
      (side) => decide(broker, 'chloe', request, {}, { broker: side }),
      (side) => decide(broker, 'dmitri', request, {}, { broker: side }),
    );
    assert.deepEqual(statuses(replies), [200, 409]);
    assert.equal(await grantsOf(request.id), 1);
    assert.equal((await get(request.id)).decisions.length, 1);
  }
});

test('one lead who approves ten times at once, over both brokers, approves once', async () => {
  const request = await broker.ask('ada', 'remediate');
  const replies = await Promise.all(
    Array.from({ length: 10 }, (_, i) => decide(broker, 'chloe', request, {}, { broker: i % 2 })),
  );
  assert.deepEqual(new Set(statuses(replies)), new Set([200]));
  assert.equal(await grantsOf(request.id), 1);
});

test('approve against cancel: one of them happens', async () => {
  for (let round = 0; round < rounds; round++) {
    const request = await broker.ask('ada', 'remediate');
    const [approval, cancelling] = await race(
      round,
      (side) => decide(broker, 'chloe', request, {}, { broker: side }),
      (side) => cancel(request.id, side),
    );
    assert.deepEqual(statuses([approval!, cancelling!]), [200, 409]);
    const { state } = await get(request.id);
    assert.equal(state, approval!.status === 200 ? 'granted' : 'cancelled');
    assert.equal(await grantsOf(request.id), approval!.status === 200 ? 1 : 0);
  }
});

test('approve against deny: one of them happens', async () => {
  for (let round = 0; round < rounds; round++) {
    const request = await broker.ask('ada', 'remediate');
    const [approval, denial] = await race(
      round,
      (side) => decide(broker, 'chloe', request, {}, { broker: side }),
      (side) => decide(broker, 'dmitri', request, { verdict: 'deny' }, { broker: side }),
    );
    assert.deepEqual(statuses([approval!, denial!]), [200, 409]);
    assert.equal((await get(request.id)).state, approval!.status === 200 ? 'granted' : 'denied');
    assert.equal(await grantsOf(request.id), approval!.status === 200 ? 1 : 0);
  }
});

test('approve against lapse: nothing is granted after its time', async () => {
  const requests = await Promise.all(Array.from({ length: 24 }, () => broker.ask('ada', 'update')));
  const outcomes = new Set<string>();
  await Promise.all(
    requests.map(async (request, index) => {
      const lapsesAt = Date.parse(request.lapsesAt);
      await sleep(lapsesAt - Date.now() - 24 + 2 * index);
      const reply = await decide(broker, 'chloe', request, {}, { broker: index % 2 });
      assert.ok([200, 409].includes(reply.status), JSON.stringify(reply.body));
      const { state, decisions } = await get(request.id);
      assert.equal(state, reply.status === 200 ? 'granted' : 'lapsed');
      if (reply.status === 200) assert.ok(Date.parse(decisions[0].at) < lapsesAt);
      assert.equal(await grantsOf(request.id), reply.status === 200 ? 1 : 0);
      outcomes.add(state);
    }),
  );
  assert.ok(outcomes.has('lapsed'));
  const lapsed = requests.map(({ id }) => id);
  await eventually(async () => {
    const { rows } = await broker.sql.query(`SELECT 1 FROM requests WHERE id = ANY ($1) AND state = 'pending'`, [
      lapsed,
    ]);
    return rows.length === 0;
  });
});

test('stages approved at once make one grant together', async () => {
  for (let round = 0; round < rounds; round++) {
    const request = await broker.ask('ada', 'remote-admin');
    const replies = await race(
      round,
      (side) => decide(broker, 'chloe', request, { narrow: { duration: 'PT5M' } }, { broker: side }),
      (side) => decide(broker, 'carmen', request, { narrow: { scopes: ['device.inspect'] } }, { broker: side }),
    );
    assert.deepEqual(statuses(replies), [200, 200]);
    assert.deepEqual(new Set(replies.map(({ body }) => body.state)), new Set(['granted', 'pending']));
    assert.equal(await grantsOf(request.id), 1);
    const { grant } = await get(request.id);
    assert.deepEqual(grant.scopes, ['device.inspect'], 'both narrowings hold');
    assert.equal(Date.parse(grant.expiresAt) - Date.parse(grant.startsAt), 300_000);
  }
});

test('of three leads at a stage that needs two, two count', async () => {
  const third = { sub: 'third-lead', teams: ['room-leads'], employer: 'provider' };
  await broker.call(third, 'GET', '/v1/me');
  for (let round = 0; round < rounds; round++) {
    const request = await broker.ask('ada', 'release-secret');
    const replies = await race(
      round,
      (side) => decide(broker, 'chloe', request, {}, { broker: side }),
      (side) => decide(broker, third, request, {}, { broker: side }),
      (side) => decide(broker, 'dmitri', request, {}, { broker: side }),
    );
    assert.deepEqual(statuses(replies), [200, 200, 409]);
    const { decisions, stages } = await get(request.id);
    assert.deepEqual([decisions.length, stages[0].approvedBy.length], [2, 2]);
    assert.equal(await grantsOf(request.id), 1);
  }
});

test('one human with two accounts who approves both stages at once passes one', async () => {
  const lead = { sub: 'twin-lead', email: 'twin@provider.example', teams: ['room-leads'], employer: 'provider' };
  const privacy = {
    sub: 'twin-privacy',
    email: 'Twin@Provider.example',
    teams: ['customer-approvers:contoso'],
    employer: 'customer',
  };
  await Promise.all([broker.call(lead, 'GET', '/v1/me'), broker.call(privacy, 'GET', '/v1/me')]);
  for (let round = 0; round < rounds; round++) {
    const request = await broker.ask('ada', 'remote-admin');
    const replies = await race(
      round,
      (side) => decide(broker, lead, request, {}, { broker: side }),
      (side) => decide(broker, privacy, request, {}, { broker: side }),
    );
    assert.deepEqual(statuses(replies), [200, 403]);
    assert.equal((await get(request.id)).state, 'pending');
  }
});
