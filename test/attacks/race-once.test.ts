import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newTestDevice } from '../support/device.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { mint, ok } from '../broker/support/scenario.ts';

/** What counts once, tried fifty times at once over two brokers on one database. */
const tries = 50;
let broker: TestBroker;
before(async () => {
  broker = await newTestBroker({ brokers: 2 });
});
after(async () => {
  try {
    await broker.checkLedger();
  } finally {
    await broker.stop();
  }
});

/** How often each status was answered. */
function tally(statuses: readonly number[]): Record<number, number> {
  return Object.fromEntries(
    [...Map.groupBy(statuses, (status) => status)].map(([status, all]) => [status, all.length]),
  );
}
const url = (side: number): string => broker.brokers[side % 2]!.url;

test('an enrolment code enrols one device', async () => {
  const { code } = await ok(broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id }), 201);
  const devices = await Promise.all(
    Array.from({ length: tries }, (_, side) => newTestDevice(broker.config.publicUrl, url(side))),
  );
  const replies = await Promise.all(devices.map((device) => device.enrol(code)));
  assert.deepEqual(tally(replies.map(({ status }) => status)), { 201: 1, 403: tries - 1 });
  const enrolled = replies.find(({ status }) => status === 201)!.body['id'];
  assert.equal((await broker.events('device.enrolled')).filter((event) => event.device === enrolled).length, 1);
});

test('a key enrols once, whatever codes it brings', async () => {
  const device = await newTestDevice(broker.config.publicUrl, url(0));
  const codes = await Promise.all(
    Array.from({ length: 10 }, () =>
      ok(broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id }), 201),
    ),
  );
  const replies = await Promise.all(codes.map(({ code }) => device.enrol(code)));
  assert.deepEqual(tally(replies.map(({ status }) => status)), { 201: 1, 409: 9 });
});

test('a client assertion signs in once', async () => {
  const device = broker.contoso.devices[0]!;
  const assertion = await device.assertion();
  const replies = await Promise.all(
    Array.from({ length: tries }, (_, side) =>
      fetch(`${url(side)}/oauth2/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: assertion,
        }),
      }),
    ),
  );
  assert.deepEqual(tally(replies.map(({ status }) => status)), { 200: 1, 401: tries - 1 });
  for (const reply of replies.filter(({ status }) => status === 401)) {
    assert.equal(((await reply.json()) as { error: string }).error, 'invalid_client');
  }
});

test('a proof gets one credential', async () => {
  const grant = await broker.grant('ada', 'diagnose');
  const key = await newEngineerKey();
  const proof = await key.proof('POST', `${broker.config.publicUrl}/v1/grants/${grant.id}/credentials`);
  const replies = await Promise.all(
    Array.from({ length: tries }, (_, side) => mint(broker, 'ada', grant, { proof, broker: side % 2 })),
  );
  assert.deepEqual(tally(replies.map(({ status }) => status)), { 201: 1, 400: tries - 1 });
  for (const { status, body } of replies) {
    if (status === 400) assert.equal(body.type, 'urn:latchkey:problem:invalid-dpop-proof');
  }
  assert.equal((await broker.events('credential.issued')).filter((event) => event.grant === grant.id).length, 1);
});

test('an idempotency key asks once, and everybody is answered alike', async () => {
  const headers = { 'idempotency-key': crypto.randomUUID() };
  const wish = { profile: 'diagnose', devices: [broker.contoso.devices[0]!.id], duration: 'PT1M', reason: 'once' };
  const before = (await broker.sql.query('SELECT 1 FROM requests')).rows.length;
  const replies = await Promise.all(
    Array.from({ length: tries }, (_, side) =>
      broker.call('ada', 'POST', '/v1/requests', wish, { headers, broker: side % 2 }),
    ),
  );
  assert.deepEqual(tally(replies.map(({ status }) => status)), { 201: tries });
  assert.equal(new Set(replies.map(({ body }) => JSON.stringify(body))).size, 1);
  assert.equal((await broker.sql.query('SELECT 1 FROM requests')).rows.length, before + 1);
});

test('an idempotency key used for two different calls at once does one of them', async () => {
  const headers = { 'idempotency-key': crypto.randomUUID() };
  const wish = (reason: string) => ({
    profile: 'diagnose',
    devices: [broker.contoso.devices[0]!.id],
    duration: 'PT1M',
    reason,
  });
  const replies = await Promise.all(
    ['one', 'other'].map((reason, side) =>
      broker.call('ada', 'POST', '/v1/requests', wish(reason), { headers, broker: side }),
    ),
  );
  assert.deepEqual(tally(replies.map(({ status }) => status)), { 201: 1, 409: 1 });
});
