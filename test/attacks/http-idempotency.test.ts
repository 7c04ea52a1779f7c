import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { newTestBroker, people, type CallOptions, type Reply, type TestBroker, type Who } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { callText, say } from '../support/raw-http.ts';

let broker: TestBroker;
before(async () => {
  broker = await newTestBroker({ brokers: 2 });
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
});

const wish = (more: object = {}): object => ({
  profile: 'remediate',
  devices: [broker.contoso.devices[0]!.id],
  duration: 'PT10M',
  reason: 'panel frozen',
  ...more,
});
const keyed = (key: string, more: Record<string, string> = {}): CallOptions => ({
  headers: { 'idempotency-key': key, ...more },
});
const ask = (who: Who, key: string, more: object = {}): Promise<Reply> =>
  broker.call(who, 'POST', '/v1/requests', wish(more), keyed(key));
const asked = async (): Promise<number> => (await broker.events('request.submitted')).length;

test('a repeat is answered the same, to the last header that says something, and does nothing', async () => {
  const key = randomUUID();
  const first = await ask('ada', key);
  assert.equal(first.status, 201);
  const before = await asked();
  for (let again = 0; again < 3; again++) {
    const repeat = await ask('ada', key);
    assert.equal(repeat.status, 201);
    assert.deepEqual(repeat.body, first.body);
    assert.equal(repeat.headers.get('location'), first.headers.get('location'));
  }
  assert.equal(await asked(), before);
});

test('a repeat is the same call whatever the order of its members and the space between them', async () => {
  const key = randomUUID();
  const first = await ask('ada', key);
  const turned = Object.fromEntries(Object.entries(wish()).toReversed());
  const repeat = await broker.call('ada', 'POST', '/v1/requests', JSON.stringify(turned, null, 4), keyed(key));
  assert.deepEqual(repeat.body, first.body);
});

test('a repeat tells what was answered then, not how things stand now', async () => {
  const key = randomUUID();
  const { body } = await ask('ada', key);
  await broker.call('chloe', 'POST', `/v1/requests/${body.id}/decisions`, { verdict: 'deny' });
  assert.equal((await ask('ada', key)).body.state, 'pending');
  assert.equal((await broker.call('ada', 'GET', `/v1/requests/${body.id}`)).body.state, 'denied');
});

test('of twenty at once, at two brokers, one acts and all are told of it', async () => {
  const key = randomUUID();
  const before = await asked();
  const insist = async (): Promise<Reply> => {
    const reply = await ask('ada', key, { profile: 'diagnose' });
    // Whoever has waited too long for a connection is told to come back.
    return reply.status === 503 ? insist() : reply;
  };
  const replies = await Promise.all(Array.from({ length: 20 }, insist));
  assert.equal(await asked(), before + 1);
  for (const reply of replies) {
    assert.equal(reply.status, 201);
    assert.deepEqual(reply.body, replies[0]!.body);
  }
});

test('a key is good for one call only: another body, address or query is 409', async () => {
  const key = randomUUID();
  const { body } = await ask('chloe', key, { profile: 'break-glass' });
  const before = await asked();
  const others: readonly (readonly [path: string, body: unknown])[] = [
    ['/v1/requests', wish({ profile: 'break-glass', reason: 'another' })],
    ['/v1/requests', wish({ profile: 'break-glass', duration: 'PT11M' })],
    [`/v1/grants/${body.grant.id}/release`, {}],
    [`/v1/grants/${body.grant.id}/revoke`, { reason: 'x' }],
  ];
  for (const [path, more] of others) {
    const reply = await broker.call('chloe', 'POST', path, more, keyed(key));
    assert.equal(reply.status, 409, path);
    assert.equal(reply.body.type, 'urn:latchkey:problem:conflict');
  }
  assert.equal(await asked(), before);
  assert.equal((await broker.call('chloe', 'GET', `/v1/grants/${body.grant.id}`)).body.state, 'active');
});

test('another person’s key of the same text is another key', async () => {
  const key = randomUUID();
  const ada = await ask('ada', key, { profile: 'diagnose' });
  const ben = await ask('ben', key, { profile: 'diagnose' });
  assert.equal(ben.status, 201);
  assert.notEqual(ben.body.id, ada.body.id);
  assert.equal(ben.body.requester.name, people.ben.name);
  assert.deepEqual((await ask('ada', key, { profile: 'diagnose' })).body, ada.body);
});

test('a refusal is kept like any answer: a right gained since needs a new key', async () => {
  const key = randomUUID();
  const untrained = {
    ...people.ada,
    sub: randomUUID(),
    email: `${key}@provider.example`,
    trainingValidUntil: '2020-01-01T00:00:00Z',
  };
  const trained = { ...untrained, trainingValidUntil: people.ada.trainingValidUntil };
  const refused = await ask(untrained, key);
  assert.equal(refused.status, 403);
  const refusals = (await broker.events('request.refused')).length;
  const repeat = await ask(trained, key);
  assert.equal(repeat.status, 403);
  assert.deepEqual(repeat.body, refused.body);
  assert.equal((await broker.events('request.refused')).length, refusals, 'one call was refused, once');
  assert.equal((await ask(trained, randomUUID())).status, 201);
});

test('a conflict and a missing thing are kept too', async () => {
  const grant = await broker.grant('ada', 'diagnose');
  const release = `/v1/grants/${grant.id}/release`;
  assert.equal((await broker.call('ada', 'POST', release)).status, 200);
  for (const path of [release, '/v1/grants/grt_00000000000000000000000000/release']) {
    const key = randomUUID();
    const first = await broker.call('ada', 'POST', path, {}, keyed(key));
    const repeat = await broker.call('ada', 'POST', path, {}, keyed(key));
    assert.ok([404, 409].includes(first.status));
    assert.deepEqual([repeat.status, repeat.body], [first.status, first.body]);
  }
});

test('a dry run uses no key up', async () => {
  const key = randomUUID();
  const dry = await broker.call('ada', 'POST', '/v1/requests?dryRun=true', wish(), keyed(key));
  assert.equal(dry.status, 200);
  assert.equal((await ask('ada', key)).status, 201);
});

test('a credential is given again to the key that it is bound to, and to no other', async () => {
  const grant = await broker.grant('ada', 'diagnose');
  const path = `/v1/grants/${grant.id}/credentials`;
  const [own, thief] = [await newEngineerKey(), await newEngineerKey()];
  const key = randomUUID();
  const url = broker.config.publicUrl + path;
  const mint = async (dpop: string): Promise<Reply> =>
    broker.call('ada', 'POST', path, { device: grant.devices[0] }, keyed(key, { dpop }));
  const first = await mint(await own.proof('POST', url));
  assert.equal(first.status, 201);
  const repeat = await mint(await own.proof('POST', url));
  assert.deepEqual(repeat.body, first.body);
  assert.equal((await broker.events('credential.issued')).length, 1);
  const stolen = await mint(await thief.proof('POST', url));
  assert.equal(stolen.status, 409);
  assert.doesNotMatch(JSON.stringify(stolen.body), /eyJ/);
});

test('what is kept cannot be read in the database: no name, no reason, no credential', async () => {
  const secret = `canary-${randomUUID()}`;
  await ask('ada', randomUUID(), { reason: secret });
  const grant = await broker.grant('ada', 'diagnose');
  const path = `/v1/grants/${grant.id}/credentials`;
  const dpop = await (await newEngineerKey()).proof('POST', broker.config.publicUrl + path);
  const minted = await broker.call('ada', 'POST', path, { device: grant.devices[0] }, keyed(randomUUID(), { dpop }));
  assert.equal(minted.status, 201);
  const { rows } = await broker.sql.query<{ answer: Buffer }>('SELECT answer FROM idempotent_answers');
  assert.ok(rows.length > 2);
  const signature = (minted.body.credential as string).split('.')[2]!;
  for (const { answer } of rows) {
    const texts = [answer.toString('latin1'), Buffer.from(answer.toString('latin1'), 'base64').toString('latin1')];
    for (const text of texts) {
      for (const canary of [secret, people.ada.name, signature, 'credential', grant.id, '"value"']) {
        assert.ok(!text.includes(canary), canary);
      }
    }
  }
});

test('a kept answer opens for its own person and key only', async () => {
  const [from, to] = [randomUUID(), randomUUID()];
  await ask('ada', from, { reason: 'of ada' });
  await ask('ben', to, { reason: 'of ada' });
  const rows = await broker.sql.query<{ key: string; answer: Buffer }>(
    'SELECT key, answer FROM idempotent_answers WHERE key = ANY ($1)',
    [[from, to]],
  );
  const answerOf = (key: string): Buffer => rows.rows.find((row) => row.key === key)!.answer;
  await broker.sql.query('UPDATE idempotent_answers SET answer = $2 WHERE key = $1', [to, answerOf(from)]);
  const swapped = await ask('ben', to, { reason: 'of ada' });
  assert.equal(swapped.status, 500, 'an answer that somebody moved is not given out');
  assert.doesNotMatch(JSON.stringify(swapped.body), /Ada/);
  await broker.sql.query('UPDATE idempotent_answers SET answer = $2 WHERE key = $1', [to, answerOf(to)]);
  assert.equal((await ask('ben', to, { reason: 'of ada' })).status, 201);
});

test('what failed because of the moment is not kept: the same key tries again', async () => {
  const key = randomUUID();
  const holder = await broker.sql.connect();
  await holder.query('BEGIN');
  await holder.query('LOCK TABLE requests IN ACCESS EXCLUSIVE MODE');
  const failed = await ask('ada', key);
  await holder.query('ROLLBACK');
  holder.release();
  assert.equal(failed.status, 503);
  assert.ok(failed.headers.get('retry-after'));
  const { rowCount } = await broker.sql.query('SELECT FROM idempotent_answers WHERE key = $1', [key]);
  assert.equal(rowCount, 0);
  assert.equal((await ask('ada', key)).status, 201);
});

test('after a day a key is as good as new', async () => {
  const key = randomUUID();
  const first = await ask('ada', key);
  await broker.sql.query(`UPDATE idempotent_answers SET expires_at = now() - interval '1 second' WHERE key = $1`, [
    key,
  ]);
  const later = await ask('ada', key, { reason: 'another day' });
  assert.equal(later.status, 201);
  assert.notEqual(later.body.id, first.body.id);
});

test('a key that is none is 400, and two are none', async () => {
  for (const key of [' ', 'x'.repeat(256), 'a b', 'ünter']) {
    assert.equal((await ask('ada', key)).status, 400, key);
  }
  const token = await broker.issuer.tokenFor(people.ada);
  const headers = [
    ['Authorization', `Bearer ${token}`],
    ['Content-Type', 'application/json'],
    ['Idempotency-Key', 'one-key'],
    ['Idempotency-Key', 'two-key'],
  ] as const;
  const text = callText('POST', '/v1/requests', headers, JSON.stringify(wish()));
  assert.equal((await say(broker.brokers[0]!.url, text)).answers[0]?.status, 400);
});
