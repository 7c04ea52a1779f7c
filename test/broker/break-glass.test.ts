import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { decide, eventually, mint, ok, policiesCopy, reasonsOf, refused, scenarios } from './support/scenario.ts';

const policies = await policiesCopy({
  'break-glass': async (shipped) => ({ ...(await shipped('break-glass')), reviewWithin: 'PT5S' }),
});
after(() => policies.remove());

type Reviewer = 'chloe' | 'dmitri' | 'carmen' | 'felix' | 'olu' | 'aud' | 'ada';

scenarios((broker) => {
  const review = (who: Reviewer, grant: { id: string }, verdict = 'justified') =>
    broker().call(who, 'POST', `/v1/grants/${grant.id}/review`, { verdict, comment: 'the board was waiting' });
  const about = async (who: Reviewer, list: string, subject: string) =>
    (await ok(broker().call(who, 'GET', list))).items.filter((each: { subject: string }) => each.subject === subject);

  test('break-glass is granted at once, and leads and the tenant’s approvers are told at once', async () => {
    const { state, grant } = await broker().ask('chloe', 'break-glass');
    assert.equal(state, 'granted');
    assert.equal(grant.state, 'active');
    assert.equal(Date.parse(grant.review.dueAt) - Date.parse(grant.startsAt), 86_400_000);
    assert.deepEqual({ ...grant.review, dueAt: null }, { state: 'due', dueAt: null, by: null, verdict: null });
    assert.equal((await mint(broker(), 'chloe', grant)).status, 201);
    for (const who of ['chloe', 'dmitri', 'carmen'] as const) {
      const [notice] = await about(who, '/v1/notices', grant.id);
      assert.equal(notice.kind, 'break-glass-used', who);
    }
    for (const who of ['felix', 'ada', 'olu'] as const) {
      assert.deepEqual(await about(who, '/v1/notices', grant.id), [], who);
    }
    for (const who of ['dmitri', 'olu', 'aud', 'carmen'] as const) {
      const [alarm] = await about(who, '/v1/alarms?state=open', grant.id);
      assert.deepEqual([alarm.kind, alarm.closedAt], ['break-glass-used', null], who);
    }
    assert.deepEqual(await about('felix', '/v1/alarms', grant.id), []);
    refused(await broker().call('ada', 'GET', '/v1/alarms'), 403);
    assert.equal((await broker().events('alarm.raised')).filter((e) => e.subject === grant.id).length, 1);
    await ok(review('dmitri', grant));
  });

  test('a scheduled one is told of when it is asked for, and once more when it begins', async () => {
    const startsAt = new Date(Date.now() + 1_500).toISOString();
    const { grant } = await broker().ask('chloe', 'break-glass', { startsAt });
    assert.equal(grant.state, 'scheduled');
    const kinds = async (who: Reviewer) =>
      (await about(who, '/v1/notices', grant.id)).map((notice: { kind: string }) => notice.kind);
    for (const who of ['dmitri', 'carmen'] as const) assert.deepEqual(await kinds(who), ['break-glass-scheduled'], who);
    await eventually(async () => (await kinds('dmitri')).length > 1);
    for (const who of ['dmitri', 'carmen'] as const) {
      assert.deepEqual(await kinds(who), ['break-glass-used', 'break-glass-scheduled'], who);
    }
    assert.equal((await about('olu', '/v1/alarms?state=open', grant.id)).length, 1);
    await ok(review('dmitri', grant));
  });

  test('it is reviewed by another human who may, once', async () => {
    const { grant } = await broker().ask('chloe', 'break-glass');
    assert.deepEqual(reasonsOf(await review('chloe', grant)), ['review-by-another']);
    for (const who of ['olu', 'aud'] as const) refused(await review(who, grant), 403);
    for (const who of ['felix', 'ada'] as const) refused(await review(who, grant), 404);
    refused(await review('carmen', grant, 'fine'), 400, '/verdict');
    const reviewed = await ok(review('carmen', grant, 'unjustified'));
    const { state, by, verdict } = reviewed.review;
    assert.deepEqual([state, by.name, verdict], ['done', 'Carmen Ortiz', 'unjustified']);
    refused(await review('dmitri', grant), 409);
    refused(await review('aud', grant), 403);
    assert.deepEqual(await about('olu', '/v1/alarms?state=open', grant.id), []);
    const [closed] = await about('olu', '/v1/alarms?state=closed', grant.id);
    assert.ok(closed.closedAt >= closed.since);
    const events = await broker().events('review.completed', 'alarm.closed');
    assert.equal(events.filter((e) => e.grant === grant.id || e.alarm === closed.id).length, 2);
    assert.equal(reviewed.state, 'active', 'a review does not end it');
  });

  test('other grants need no review', async () => {
    const grant = await broker().grant('ada', 'remediate');
    assert.equal(grant.review, null);
    refused(await review('dmitri', grant), 409);
    refused(await decide(broker(), 'dmitri', { id: grant.request }), 409);
  });
});

scenarios(
  (broker) => {
    test('an overdue review is an alarm, and its holder gets no further break-glass until it is done', async () => {
      const { grant } = await broker().ask('chloe', 'break-glass');
      const { grant: sooner } = await broker().ask('chloe', 'break-glass');
      await ok(broker().call('dmitri', 'POST', `/v1/grants/${sooner.id}/review`, { verdict: 'justified' }));
      const [alarm] = await eventually(async () => {
        const { items } = await ok(broker().call('olu', 'GET', '/v1/alarms?state=open'));
        const overdue = items.filter((a: { kind: string; subject: string }) => a.kind === 'review-overdue');
        return overdue.length > 0 && overdue;
      });
      assert.equal(alarm.subject, grant.id, 'the reviewed one raises none');
      assert.ok(Date.parse(alarm.since) >= Date.parse(grant.review.dueAt));
      for (const who of ['chloe', 'dmitri', 'carmen'] as const) {
        const { items } = await ok(broker().call(who, 'GET', '/v1/notices'));
        const told = items.filter((n: { kind: string; subject: string }) => n.kind === 'review-overdue');
        const expected = who === 'chloe' ? [grant.id, grant.id] : [grant.id];
        assert.deepEqual(
          told.map((n: { subject: string }) => n.subject),
          expected,
          who,
        );
      }
      const overdue = await ok(broker().call('chloe', 'GET', `/v1/grants/${grant.id}`));
      assert.equal(overdue.review.state, 'overdue');

      const ask = (who: 'chloe' | 'dmitri') =>
        broker().call(who, 'POST', '/v1/requests', {
          profile: 'break-glass',
          devices: [broker().contoso.devices[0]!.id],
          duration: 'PT5M',
          reason: 'again',
        });
      assert.deepEqual(reasonsOf(await ask('chloe')), ['review-overdue']);
      assert.deepEqual(reasonsOf(await mint(broker(), 'chloe', grant)), ['review-overdue']);
      const { grant: others } = await ok(ask('dmitri'), 201);
      await ok(broker().call('chloe', 'POST', `/v1/grants/${others.id}/review`, { verdict: 'justified' }));

      await ok(broker().call('dmitri', 'POST', `/v1/grants/${grant.id}/review`, { verdict: 'unjustified' }));
      const { items } = await ok(broker().call('olu', 'GET', '/v1/alarms?state=open'));
      assert.deepEqual(
        items.filter((a: { subject: string }) => a.subject === grant.id),
        [],
        'both alarms are closed',
      );
      const { grant: next } = await ok(ask('chloe'), 201);
      await ok(broker().call('dmitri', 'POST', `/v1/grants/${next.id}/review`, { verdict: 'justified' }));
      assert.equal((await broker().events('alarm.raised')).filter((e) => e.kind === 'review-overdue').length, 1);
    });
  },
  { policies: policies.directory },
);
