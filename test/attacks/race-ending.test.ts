import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { decodeJwt } from 'jose';
import { newTestBroker, type Reply, type TestBroker, type Who } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { decide, mint, ok, sleep } from '../broker/support/scenario.ts';

const rounds = 15;
let broker: TestBroker;
before(async () => {
  broker = await newTestBroker({ brokers: 2 });
  const everyone: Who[] = ['ada', 'chloe', 'dmitri', 'olu'];
  await Promise.all(
    everyone.flatMap((who) => [0, 1].map((side) => broker.call(who, 'GET', '/v1/me', undefined, { broker: side }))),
  );
});
after(async () => {
  try {
    await broker.checkLedger();
  } finally {
    await broker.stop();
  }
});

const statuses = (replies: readonly Reply[]): number[] => replies.map(({ status }) => status).sort((a, b) => a - b);
const get = (id: string) => ok(broker.call('chloe', 'GET', `/v1/grants/${id}`));
const revoke = (id: string, side: number) =>
  broker.call('dmitri', 'POST', `/v1/grants/${id}/revoke`, { reason: 'enough' }, { broker: side });
const release = (id: string, side: number) =>
  broker.call('ada', 'POST', `/v1/grants/${id}/release`, undefined, { broker: side });
const extend = (id: string) =>
  broker.call('ada', 'POST', `/v1/grants/${id}/extensions`, { duration: 'PT5M', reason: 'more' });

test('revoke against release: a grant ends once', async () => {
  for (let round = 0; round < rounds; round++) {
    const grant = await broker.grant('ada', 'diagnose');
    const first = sleep(round % 3).then(() => revoke(grant.id, round % 2));
    const second = sleep((round + 1) % 3).then(() => release(grant.id, (round + 1) % 2));
    const [revoked, released] = await Promise.all([first, second]);
    assert.deepEqual(statuses([revoked, released]), [200, 409]);
    const { state, endedBy } = await get(grant.id);
    assert.equal(state, revoked.status === 200 ? 'revoked' : 'released');
    assert.equal(endedBy.name, revoked.status === 200 ? 'Dmitri Volkov' : 'Ada Okafor');
  }
});

test('ten revocations at once are one', async () => {
  const grant = await broker.grant('ada', 'diagnose');
  const replies = await Promise.all(Array.from({ length: 10 }, (_, index) => revoke(grant.id, index % 2)));
  assert.deepEqual(statuses(replies), [200, ...Array<number>(9).fill(409)]);
});

test('the approval of an extension against revoke: an ended grant is never extended', async () => {
  for (let round = 0; round < rounds; round++) {
    const grant = await broker.grant('ada', 'remediate');
    const request = await ok(extend(grant.id), 201);
    const [approval, revoked] = await Promise.all([
      sleep(round % 3).then(() => decide(broker, 'chloe', request, {}, { broker: round % 2 })),
      sleep((round + 1) % 3).then(() => revoke(grant.id, (round + 1) % 2)),
    ]);
    assert.equal(revoked.status, 200, JSON.stringify(revoked.body));
    assert.ok([200, 409].includes(approval.status), JSON.stringify(approval.body));
    const ended = await get(grant.id);
    assert.equal(ended.state, 'revoked');
    assert.equal(ended.expiresAt > grant.expiresAt, approval.status === 200);
    const { state, decisions } = await ok(broker.call('ada', 'GET', `/v1/requests/${request.id}`));
    assert.equal(state, approval.status === 200 ? 'granted' : 'lapsed');
    if (approval.status === 200) assert.ok(decisions[0].at <= ended.endedAt);
  }
});

test('mint against revoke: no credential is issued after the revocation', async () => {
  for (let round = 0; round < rounds; round++) {
    const grant = await broker.grant('ada', 'diagnose');
    const key = await newEngineerKey();
    const mints = Array.from({ length: 6 }, (_, index) =>
      sleep(index * 3).then(() => mint(broker, 'ada', grant, { key, broker: index % 2 })),
    );
    const revoked = sleep(round % 15).then(() => revoke(grant.id, round % 2));
    const replies = await Promise.all(mints);
    const { body: ended } = await revoked;
    assert.equal(ended.state, 'revoked');
    for (const { status, body } of replies) {
      assert.ok([201, 409].includes(status), JSON.stringify(body));
      if (status === 201) assert.ok(decodeJwt(body.credential).iat! * 1_000 <= Date.parse(ended.endedAt));
    }
    const later = (await broker.events('credential.issued')).filter(
      (e) => e.grant === grant.id && e.at > ended.endedAt,
    );
    assert.deepEqual(later, []);
    assert.equal((await mint(broker, 'ada', grant, { key })).status, 409);
  }
});

test('two keys that come at once: the grant is bound to one of them', async () => {
  for (let round = 0; round < rounds; round++) {
    const grant = await broker.grant('ada', 'diagnose');
    const replies = await Promise.all([0, 1].map((side) => mint(broker, 'ada', grant, { broker: side })));
    assert.deepEqual(statuses(replies), [201, 409]);
  }
});

test('a device that leaves while its request is approved is on no live grant', async () => {
  for (let round = 0; round < 6; round++) {
    const device = await broker.enrol(broker.contoso.id);
    const request = await broker.ask('ada', 'remediate', { devices: [device.id] });
    const [approval, leaving] = await Promise.all([
      sleep(round % 3).then(() => decide(broker, 'chloe', request, {}, { broker: round % 2 })),
      broker.call('olu', 'DELETE', `/v1/devices/${device.id}`, undefined, { broker: (round + 1) % 2 }),
    ]);
    assert.equal(leaving.status, 204);
    if (approval.status === 200) assert.equal((await get(approval.body.grant.id)).state, 'revoked');
    else assert.equal(approval.status, 409);
  }
});
