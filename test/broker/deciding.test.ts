import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide, ok, reasonsOf, refused, scenarios } from './support/scenario.ts';

scenarios((broker) => {
  const get = (id: string) => ok(broker().call('ada', 'GET', `/v1/requests/${id}`));

  test('an approval without a stage is for the first open one that the approver may decide', async () => {
    const request = await broker().ask('ada', 'remote-admin');
    const first = await ok(decide(broker(), 'carmen', request, { comment: 'before the board meets' }));
    assert.equal(first.state, 'pending');
    assert.deepEqual(
      first.stages.map((stage: { approvedBy: unknown[] }) => stage.approvedBy.length),
      [0, 1],
    );
    const [decision] = first.decisions;
    assert.equal(decision.by.name, 'Carmen Ortiz');
    assert.deepEqual(
      [decision.verdict, decision.stage, decision.comment, decision.narrow],
      ['approve', 'customer', 'before the board meets', null],
    );
    const second = await ok(decide(broker(), 'chloe', request));
    assert.equal(second.state, 'granted');
    assert.deepEqual(second.stages[0].approvedBy, [second.decisions[1].by]);
    assert.equal(second.grant.startsAt, second.decisions[1].at, 'it starts when the last approval falls');
    assert.equal(second.grant.state, 'active');
  });

  test('stages are parallel: any of them may pass first, each exactly once', async () => {
    for (const order of [['priya', 'carmen'] as const, ['carmen', 'priya'] as const]) {
      const request = await broker().ask('ada', 'collect-identity-logs');
      await ok(decide(broker(), order[0], request));
      const granted = await ok(decide(broker(), order[1], request));
      assert.equal(granted.state, 'granted');
      assert.deepEqual((await broker().events('grant.started')).filter((e) => e.request === request.id).length, 1);
    }
  });

  test('on a request without stages, who decides others’ requests comes too late, and nobody else may', async () => {
    const request = await broker().ask('ada', 'diagnose');
    assert.deepEqual([request.state, request.stages], ['granted', []]);
    for (const who of ['chloe', 'carmen', 'priya'] as const) refused(await decide(broker(), who, request), 409);
    for (const who of ['ada', 'olu', 'aud'] as const) {
      assert.deepEqual(reasonsOf(await decide(broker(), who, request)), ['no-policy-permits'], who);
    }
    for (const who of ['ben', 'felix', 'nobody'] as const) refused(await decide(broker(), who, request), 404);
    const own = await broker().ask('chloe', 'break-glass');
    assert.deepEqual(reasonsOf(await decide(broker(), 'chloe', own)), ['no-policy-permits']);
    await ok(broker().call('dmitri', 'POST', `/v1/grants/${own.grant.id}/review`, { verdict: 'justified' }));
  });

  test('a named stage is the one decided', async () => {
    const request = await broker().ask('ada', 'remote-admin');
    refused(await decide(broker(), 'chloe', request, { stage: 'privacy' }), 400, '/stage');
    refused(await decide(broker(), 'chloe', request, { stage: 'customer' }), 403);
    refused(await decide(broker(), 'carmen', request, { stage: 'lead' }), 403);
    const { decisions } = await ok(decide(broker(), 'chloe', request, { stage: 'lead' }));
    assert.equal(decisions.length, 1);
  });

  test('who may decide no stage is refused, and the refusal is an event', async () => {
    const request = await broker().ask('ada', 'remediate');
    for (const who of ['priya', 'olu', 'aud'] as const) refused(await decide(broker(), who, request), 403);
    refused(await decide(broker(), 'ben', request), 404);
    refused(await decide(broker(), 'felix', request), 404);
    refused(await decide(broker(), 'carmen', request), 403);
    refused(await decide(broker(), 'nobody', request), 404);
    const events = (await broker().events('request.refused')).filter((event) => event.subject === request.id);
    assert.equal(events.length, 4);
    assert.equal((await get(request.id)).state, 'pending');
  });

  test('nobody decides a request of their own, whatever teams they are in', async () => {
    const eve = {
      sub: 'eve',
      name: 'Eve',
      teams: ['room-ops', 'room-leads'],
      employer: 'provider',
      trainingValidUntil: '2099-01-01T00:00:00Z',
    };
    const request = await broker().ask(eve, 'remediate');
    assert.deepEqual(reasonsOf(await decide(broker(), eve, request)), ['no-self-approval']);
    assert.deepEqual(reasonsOf(await decide(broker(), eve, request, { verdict: 'deny' })), ['no-self-approval']);
    await ok(decide(broker(), 'chloe', request));
  });

  test('no one passes two stages of a request', async () => {
    const both = { sub: 'both', teams: ['room-leads', 'privacy-office'], employer: 'provider' };
    const request = await broker().ask('ada', 'collect-identity-logs');
    await ok(decide(broker(), both, request, { stage: 'privacy' }));
    // As a customer's approver now, under the very same account.
    const turned = { sub: 'both', teams: ['customer-approvers:contoso'], employer: 'customer' };
    assert.deepEqual(reasonsOf(await decide(broker(), turned, request, { stage: 'customer' })), [
      'one-human-one-stage',
    ]);
    assert.equal((await get(request.id)).decisions.length, 1);
  });

  test('one denial ends a request, also when others have approved', async () => {
    const request = await broker().ask('ada', 'remote-admin');
    await ok(decide(broker(), 'chloe', request));
    const denied = await ok(decide(broker(), 'carmen', request, { verdict: 'deny', comment: 'not during the audit' }));
    assert.equal(denied.state, 'denied');
    assert.equal(denied.grant, null);
    assert.equal(denied.decisions[1].comment, 'not during the audit');
    refused(await decide(broker(), 'dmitri', request), 409);
    refused(await broker().call('ada', 'POST', `/v1/requests/${request.id}/cancel`), 409);
  });

  test('the same verdict again is answered alike and changes nothing', async () => {
    const request = await broker().ask('ada', 'remote-admin');
    const first = await ok(decide(broker(), 'chloe', request));
    const again = await ok(decide(broker(), 'chloe', request, { comment: 'once more', narrow: { duration: 'PT1M' } }));
    assert.deepEqual(again, first);
    const granted = await ok(decide(broker(), 'carmen', request));
    assert.deepEqual(await ok(decide(broker(), 'carmen', request)), granted, 'also after it is granted');
    assert.deepEqual(await ok(decide(broker(), 'chloe', request)), granted);
    const approvals = (await broker().events('request.approved')).filter((event) => event.request === request.id);
    assert.equal(approvals.length, 2);

    const other = await broker().ask('ada', 'remediate');
    const denied = await ok(decide(broker(), 'chloe', other, { verdict: 'deny' }));
    assert.deepEqual(await ok(decide(broker(), 'chloe', other, { verdict: 'deny' })), denied);
    refused(await decide(broker(), 'chloe', other), 409);
  });

  test('who has approved may still deny while it is pending, and not after', async () => {
    const request = await broker().ask('ada', 'remote-admin');
    await ok(decide(broker(), 'chloe', request));
    const denied = await ok(decide(broker(), 'chloe', request, { verdict: 'deny' }));
    assert.equal(denied.state, 'denied');
    assert.deepEqual(
      denied.decisions.map((decision: { verdict: string }) => decision.verdict),
      ['approve', 'deny'],
    );

    const other = await broker().ask('ada', 'remediate');
    await ok(decide(broker(), 'chloe', other));
    refused(await decide(broker(), 'chloe', other, { verdict: 'deny' }), 409);
  });

  test('what is decided stays decided: whoever comes later is told so with 409', async () => {
    const granted = await broker().ask('ada', 'remediate');
    await ok(decide(broker(), 'chloe', granted));
    refused(await decide(broker(), 'dmitri', granted), 409);
    refused(await decide(broker(), 'dmitri', granted, { verdict: 'deny' }), 409);
    const cancelled = await broker().ask('ada', 'remediate');
    await ok(broker().call('ada', 'POST', `/v1/requests/${cancelled.id}/cancel`));
    refused(await decide(broker(), 'chloe', cancelled), 409);
    refused(await decide(broker(), 'chloe', cancelled, { verdict: 'deny' }), 409);
    refused(await decide(broker(), 'aud', cancelled), 403);
  });

  test('a decision must say a verdict, and only an approval narrows', async () => {
    const request = await broker().ask('ada', 'remediate');
    refused(await decide(broker(), 'chloe', request, { verdict: undefined }), 400, '/verdict');
    refused(await decide(broker(), 'chloe', request, { verdict: 'maybe' }), 400, '/verdict');
    refused(
      await decide(broker(), 'chloe', request, { verdict: 'deny', narrow: { duration: 'PT1M' } }),
      400,
      '/narrow',
    );
    refused(await decide(broker(), 'chloe', request, { by: 'dmitri' }), 400, '/by');
  });

  test('a request is cancelled by its requester only, while it is pending', async () => {
    const request = await broker().ask('ada', 'remediate');
    const cancel = (who: 'ada' | 'ben' | 'chloe' | 'olu' | 'carmen') =>
      broker().call(who, 'POST', `/v1/requests/${request.id}/cancel`);
    refused(await cancel('ben'), 404);
    for (const who of ['chloe', 'olu', 'carmen'] as const) refused(await cancel(who), 403);
    const cancelled = await ok(cancel('ada'));
    assert.equal(cancelled.state, 'cancelled');
    assert.equal((await get(request.id)).state, 'cancelled');
    refused(await cancel('ada'), 409);
    refused(await cancel('chloe'), 403);
  });

  test('the requester is told of the decision', async () => {
    const request = await broker().ask('ada', 'remediate');
    await ok(decide(broker(), 'chloe', request));
    const { items } = await ok(broker().call('ada', 'GET', '/v1/notices'));
    assert.ok(
      items.some((n: { kind: string; subject: string }) => n.kind === 'request-decided' && n.subject === request.id),
    );
  });
});
