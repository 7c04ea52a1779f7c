import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { tidy } from '../../src/broker/sweep.ts';
import { firstId, newId, timeOf, type EventId } from '../../src/domain/ids.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import type { TestDevice } from '../support/device.ts';
import { openSession, sign, tell } from '../broker/support/door.ts';

let broker: TestBroker;
before(async () => {
  broker = await newTestBroker({ brokers: 2 });
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
});

const day = 86_400_000;
const grant = newId('grant', Date.now());
const person = newId('person', Date.now());
const refusal = (device: TestDevice, jti?: EventId): Promise<string> =>
  sign(broker, device, { type: 'session.refused', code: 'scope-missing', grant, person, ...(jti && { jti }) });
/** Posts to one of the brokers, with the device's own token. */
async function post(device: TestDevice, to: number, events: readonly string[]): Promise<number> {
  const { access_token: token } = (await device.signIn()).body;
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const url = `${broker.brokers[to % 2]!.url}/v1/agent/events`;
  return (await fetch(url, { method: 'POST', headers, body: JSON.stringify({ events }) })).status;
}
async function landed(...statements: string[]): Promise<number> {
  const events = await broker.events('session.started', 'session.refused', 'session.ended');
  return events.filter(({ statement }) => statements.includes(statement)).length;
}

test('of 50 parallel posts of one event to two brokers, one lands and all are answered', async () => {
  const [device] = broker.contoso.devices;
  const event = await refusal(device!);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => post(device!, n, [event])));
  assert.deepEqual(new Set(answers), new Set([204]));
  assert.equal(await landed(event), 1);
});

test('the same events in opposite orders, in parallel, land once each and stop nobody', async () => {
  const [, device] = broker.contoso.devices;
  const events = await Promise.all(Array.from({ length: 12 }, () => refusal(device!)));
  const batches = Array.from({ length: 20 }, (_, n) => (n % 2 ? events : events.toReversed()));
  const answers = await Promise.all(batches.map((batch, n) => post(device!, n, batch)));
  assert.deepEqual(new Set(answers), new Set([204]));
  assert.equal(await landed(...events), 12);
});

test('an event signed anew under the same `jti` is the same event', async () => {
  const [device] = broker.contoso.devices;
  const jti = newId('event', Date.now());
  const texts = [await refusal(device!, jti), await refusal(device!, jti)];
  assert.notEqual(texts[0], texts[1]);
  for (const text of texts) await tell(device!, text);
  await tell(device!, ...texts);
  assert.equal(await landed(...texts), 1);
});

test('one bad statement among good ones leaves nothing of the call', async () => {
  const [device, other] = broker.contoso.devices;
  const [good, foreign] = [await refusal(device!), await refusal(other!)];
  assert.equal(await post(device!, 0, [good, foreign]), 400);
  assert.equal(await landed(good, foreign), 0);
  await tell(device!, good);
});

test('a statement is taken for 90 days, remembered for longer, and never counted twice', async () => {
  const [device] = broker.contoso.devices;
  const now = Date.now();
  const [almost, old, ahead] = [now - 90 * day + 60_000, now - 90 * day - 60_000, now + day + 60_000];
  const young = await refusal(device!, newId('event', almost));
  await tell(device!, young);
  for (const made of [old, ahead, 0])
    assert.equal(await post(device!, 0, [await refusal(device!, newId('event', made))]), 400);
  await broker.sql.query(
    `INSERT INTO device_statements (device, jti) SELECT $1, id FROM unnest($2::text[]) AS of (id)`,
    [device!.id, [newId('event', old), newId('event', now - 92 * day)]],
  );
  const context = { pool: broker.sql, log: { info() {}, warn() {}, error() {} } } as unknown as Parameters<
    typeof tidy
  >[0];
  await tidy(context);
  const { rows } = await broker.sql.query<{ jti: EventId }>(
    'SELECT jti FROM device_statements WHERE jti < $1 ORDER BY 1',
    [firstId('event', almost + 1)],
  );
  assert.deepEqual(
    rows.map(({ jti }) => timeOf(jti)),
    [old, almost],
    'only what would be refused anyway is forgotten',
  );
  await tell(device!, young);
  assert.equal(await landed(young), 1);
});

test('what a device states at the moment at which it is taken out lands whole or is refused', async () => {
  const device = await broker.enrol(broker.contoso.id);
  const given = await broker.grant('ada', 'diagnose', { devices: [device.id] });
  const session = await openSession(broker, device, given);
  await tell(device, session.started);
  const { access_token: token } = (await device.signIn()).body;
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const state = async (n: number): Promise<number> => {
    const events = [await refusal(device), ...(n === 10 ? [session.ended] : [])];
    const url = `${broker.brokers[n % 2]!.url}/v1/agent/events`;
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify({ events }) })).status;
  };
  const [removed, ...answers] = await Promise.all([
    broker.call('olu', 'DELETE', `/v1/devices/${device.id}`),
    ...Array.from({ length: 20 }, (_, n) => state(n)),
  ]);
  assert.equal(removed.status, 204);
  assert.deepEqual(
    [...new Set(answers)].filter((status) => status !== 204 && status !== 401),
    [],
  );
  assert.equal(await state(0), 401);
  const events = await broker.events('device.unenrolled', 'session.refused', 'session.ended');
  const of = events.filter((event) => event.device === device.id);
  const out = of.findIndex(({ type }) => type === 'device.unenrolled');
  const { rows } = await broker.sql.query<{ bytes: Buffer }>(
    `SELECT bytes FROM audit_events WHERE type LIKE 'session.%' AND at > $1`,
    [of[out].at],
  );
  const later = rows
    .map(({ bytes }) => JSON.parse(bytes.toString('utf8')))
    .filter((event) => event.device === device.id);
  assert.deepEqual(later, [], 'nothing of its key after that');
});
