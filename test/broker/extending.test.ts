import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { decodeJwt } from 'jose';
import { decide, eventually, ok, policiesCopy, reasonsOf, refused, scenarios } from './support/scenario.ts';

const policies = await policiesCopy({
  remediate: async (shipped) => ({ ...(await shipped('remediate')), longestTotal: 'PT1H10M' }),
});
after(() => policies.remove());

scenarios(
  (broker) => {
    const extend = (grant: { id: string }, duration: string, who: 'ada' | 'ben' | 'chloe' = 'ada', more: object = {}) =>
      broker().call(who, 'POST', `/v1/grants/${grant.id}/extensions`, { duration, reason: 'still copying', ...more });
    const seconds = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 1_000;

    test('an extension is a request like any other, with the same stages, that adds to the grant’s end', async () => {
      const grant = await broker().grant('ada', 'remote-admin', { duration: 'PT10M' });
      const reply = await extend(grant, 'PT20M');
      assert.equal(reply.status, 201);
      const { body: request } = reply;
      assert.equal(reply.headers.get('location'), `/v1/requests/${request.id}`);
      assert.equal(request.extends, grant.id);
      assert.equal(request.state, 'pending');
      assert.equal(request.lapsesAt, grant.expiresAt, 'it lapses at the grant’s end');
      assert.deepEqual(
        request.stages.map((stage: { name: string }) => stage.name),
        ['lead', 'customer'],
      );
      assert.equal(request.duration, 'PT20M');
      await ok(decide(broker(), 'chloe', request));
      const granted = await ok(decide(broker(), 'carmen', request));
      assert.equal(granted.state, 'granted');
      assert.equal(granted.grant.id, grant.id, '`grant` is the extended grant');
      assert.equal(granted.grant.state, 'active');
      assert.equal(granted.grant.startsAt, grant.startsAt);
      assert.equal(seconds(grant.expiresAt, granted.grant.expiresAt), 1_200);
      const [event] = (await broker().events('grant.extended')).filter((each) => each.grant === grant.id);
      assert.deepEqual([event.from, event.to, event.request], [grant.expiresAt, granted.grant.expiresAt, request.id]);
      assert.equal((await broker().events('grant.started')).filter((each) => each.grant === grant.id).length, 1);
    });

    test('a retried extension extends once', async () => {
      const grant = await broker().grant('ada', 'diagnose', { duration: 'PT10M' });
      const headers = { 'idempotency-key': crypto.randomUUID() };
      const path = `/v1/grants/${grant.id}/extensions`;
      const send = () => broker().call('ada', 'POST', path, { duration: 'PT5M', reason: 'more' }, { headers });
      const [first, again] = [await ok(send(), 201), await ok(send(), 201)];
      assert.deepEqual(again, first);
      assert.equal(first.state, 'granted', 'without stages it is granted at once');
      const now = await ok(broker().call('ada', 'GET', `/v1/grants/${grant.id}`));
      assert.equal(seconds(grant.expiresAt, now.expiresAt), 300);
    });

    test('an approver may narrow the time that is added, and nothing else', async () => {
      const grant = await broker().grant('ada', 'remediate', { duration: 'PT10M' });
      const request = await ok(extend(grant, 'PT20M'), 201);
      refused(await decide(broker(), 'chloe', request, { narrow: { scopes: ['usb.reset'] } }), 400, '/narrow');
      refused(await decide(broker(), 'chloe', request, { narrow: { duration: 'PT21M' } }), 400, '/narrow/duration');
      const granted = await ok(decide(broker(), 'chloe', request, { narrow: { duration: 'PT5M' } }));
      assert.equal(seconds(grant.expiresAt, granted.grant.expiresAt), 300);
    });

    test('the new end lies at most `longest` after the decision', async () => {
      const grant = await broker().grant('ada', 'remediate', { duration: 'PT50M' });
      const request = await ok(extend(grant, 'PT20M'), 201);
      const granted = await ok(decide(broker(), 'chloe', request));
      assert.equal(seconds(granted.decisions[0].at, granted.grant.expiresAt), 3_600);
    });

    test('more than `longest` or `longestTotal` allow is refused, as is more than `longest` without stages', async () => {
      const grant = await broker().grant('ada', 'remediate', { duration: 'PT50M' });
      assert.deepEqual(reasonsOf(await extend(grant, 'PT1H1S')).toSorted(), [
        'longer-than-longest',
        'longer-than-total',
      ]);
      assert.deepEqual(reasonsOf(await extend(grant, 'PT20M1S')), ['longer-than-total']);
      const brief = await broker().grant('ada', 'diagnose', { duration: 'PT3H' });
      assert.deepEqual(reasonsOf(await extend(brief, 'PT1H1S')), ['longer-than-total']);
      await ok(extend(brief, 'PT59M'), 201);
    });

    test('two extensions together do not pass the total either', async () => {
      const grant = await broker().grant('ada', 'remediate', { duration: 'PT40M' });
      const [one, two] = [await ok(extend(grant, 'PT18M'), 201), await ok(extend(grant, 'PT18M'), 201)];
      await ok(decide(broker(), 'chloe', one));
      const { grant: last } = await ok(decide(broker(), 'chloe', two));
      assert.ok(seconds(last.startsAt, last.expiresAt) <= 4_200);
      assert.ok(seconds(two.createdAt, last.expiresAt) <= 3_600 + 5);
      assert.ok(Date.parse(last.expiresAt) > Date.parse(one.lapsesAt));
    });

    test('only its holder extends a grant, while it is in force', async () => {
      const grant = await broker().grant('ada', 'remediate');
      refused(await extend(grant, 'PT1M', 'ben'), 404);
      refused(await extend(grant, 'PT1M', 'chloe'), 403);
      refused(await extend(grant, 'PT0S'), 400, '/duration');
      refused(await extend(grant, 'PT1M', 'ada', { reason: undefined }), 400, '/reason');
      refused(await extend(grant, 'PT1M', 'ada', { scopes: ['shell'] }), 400, '/scopes');
      await ok(broker().call('ada', 'POST', `/v1/grants/${grant.id}/release`));
      refused(await extend(grant, 'PT1M'), 409);
      assert.deepEqual(reasonsOf(await extend(grant, 'PT2H')).length > 0, true, 'what is not permitted is 403 first');
    });

    test('a break-glass grant has no extension', async () => {
      const { grant } = await broker().ask('chloe', 'break-glass');
      assert.deepEqual(reasonsOf(await extend(grant, 'PT1M', 'chloe')), ['not-extendable']);
      await ok(broker().call('chloe', 'POST', `/v1/grants/${grant.id}/release`));
      await ok(broker().call('dmitri', 'POST', `/v1/grants/${grant.id}/review`, { verdict: 'justified' }));
    });

    test('what would extend a grant lapses when the grant ends, in time or before', async () => {
      const grant = await broker().grant('ada', 'remediate', { duration: 'PT4S' });
      const late = await ok(extend(grant, 'PT1M'), 201);
      const given = await broker().grant('ada', 'remediate');
      const idle = await ok(extend(given, 'PT1M'), 201);
      await ok(broker().call('ada', 'POST', `/v1/grants/${given.id}/release`));
      refused(await decide(broker(), 'chloe', idle), 409);
      assert.equal((await ok(broker().call('ada', 'GET', `/v1/requests/${idle.id}`))).state, 'lapsed');
      await eventually(async () => (await broker().events('request.lapsed')).some((e) => e.request === late.id));
      refused(await decide(broker(), 'chloe', late), 409);
      assert.equal((await ok(broker().call('ada', 'GET', `/v1/grants/${grant.id}`))).state, 'expired');
    });

    test('an extension reaches the device as a newer list with the later end, and nothing between', async () => {
      const device = broker().contoso.devices[2]!;
      const list = async () => {
        const { text } = await device.call('GET', '/v1/agent/live-grants');
        return decodeJwt<{ version: number; grants: { id: string; expiresAt: string }[] }>(text);
      };
      const grant = await broker().grant('ada', 'diagnose', { devices: [device.id] });
      const before = await list();
      const { grant: extended } = await ok(extend(grant, 'PT5M'), 201);
      const after = await list();
      assert.ok(after.version > before.version);
      const ends = (claims: typeof before) =>
        claims.grants.filter(({ id }) => id === grant.id).map((g) => Date.parse(g.expiresAt));
      assert.deepEqual([ends(before), ends(after)], [[Date.parse(grant.expiresAt)], [Date.parse(extended.expiresAt)]]);
    });
  },
  { policies: policies.directory },
);
