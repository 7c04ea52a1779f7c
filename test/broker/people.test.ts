import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { people, type Who } from '../support/broker.ts';
import { decide, mint, ok, refused, scenarios } from './support/scenario.ts';

scenarios((broker) => {
  const get = (who: Who, path: string) => ok(broker().call(who, 'GET', path));

  test('everyone is told who they are, as far as their provider is believed', async () => {
    const me = await get('ada', '/v1/me');
    assert.match(me.id, /^per_/);
    assert.deepEqual(me, {
      id: me.id,
      name: 'Ada Okafor',
      teams: ['room-ops'],
      employer: 'provider',
      region: 'EU',
      trainingValidUntil: me.trainingValidUntil,
    });
    assert.equal(Date.parse(me.trainingValidUntil), Date.parse(people.ada.trainingValidUntil));
    const boaster = {
      sub: 'boaster',
      teams: ['room-ops', 'administrators', 'customer-approvers:northwind'],
      employer: 'owner',
    };
    const { id: _, ...rest } = await get(boaster, '/v1/me');
    assert.deepEqual(rest, { name: null, teams: ['room-ops'], employer: null, region: null, trainingValidUntil: null });
    refused(await broker().call(null, 'GET', '/v1/me'), 401);
  });

  test('a person is the same whatever else changes, and another subject is another person', async () => {
    const before = await get({ sub: 'stable', name: 'Before', email: 'before@provider.example' }, '/v1/me');
    const after = await get({ sub: 'stable', name: 'After', email: 'after@provider.example' }, '/v1/me');
    assert.deepEqual([after.id, after.name], [before.id, 'After']);
    assert.notEqual((await get({ sub: 'stable2', name: 'After' }, '/v1/me')).id, before.id);
  });

  test('the profiles offered are those that one could ask for', async () => {
    const names = async (who: Who): Promise<string[]> =>
      (await get(who, '/v1/profiles')).items.map((profile: { name: string }) => profile.name).toSorted();
    const engineers = ['collect-identity-logs', 'diagnose', 'release-secret', 'remediate', 'remote-admin', 'update'];
    assert.deepEqual(await names('ada'), engineers);
    assert.deepEqual(await names('ben'), ['diagnose', 'remediate', 'remote-admin']);
    assert.deepEqual(await names({ ...people.ben, region: 'US' }), ['diagnose', 'remediate']);
    assert.deepEqual(await names('chloe'), ['break-glass']);
    for (const who of ['zed', 'carmen', 'aud', 'olu', 'nobody'] as const) assert.deepEqual(await names(who), [], who);
    const { items } = await get('ada', '/v1/profiles');
    const remote = items.find((profile: { name: string }) => profile.name === 'remote-admin');
    assert.deepEqual(Object.keys(remote).toSorted(), ['dataClasses', 'longest', 'name', 'scopes', 'stages', 'title']);
    assert.deepEqual([remote.longest, remote.dataClasses], ['PT1H', ['OII', 'EUII']]);
    assert.deepEqual(
      remote.stages.map((stage: { name: string; needs: number }) => [stage.name, stage.needs]),
      [
        ['lead', 1],
        ['customer', 1],
      ],
    );
  });

  test('notices are for those they are for, newest first and paged', async () => {
    const told = { ...people.ada, sub: 'told', email: 'told@provider.example' };
    const requests: string[] = [];
    for (let i = 0; i < 3; i++) {
      const request = await broker().ask(told, 'remediate');
      await ok(decide(broker(), 'chloe', request, { verdict: i === 1 ? 'deny' : 'approve' }));
      requests.unshift(request.id);
    }
    const { items, next } = await get(told, '/v1/notices?limit=2');
    assert.deepEqual(
      items.map((each: { subject: string }) => each.subject),
      requests.slice(0, 2),
    );
    for (const { id, kind, at, text } of items) {
      assert.match(id, /^ntc_/);
      assert.equal(kind, 'request-decided');
      assert.ok(Date.parse(at) && text);
    }
    const rest = await get(told, `/v1/notices?limit=2&cursor=${next}`);
    assert.deepEqual([rest.items.map((each: { subject: string }) => each.subject), rest.next], [[requests[2]], null]);
    assert.deepEqual((await get('nobody', '/v1/notices')).items, []);
  });

  test('a name that is erased is null everywhere, and everything else stays', async () => {
    const gone = { ...people.ada, sub: 'gone', name: 'Gone Girl', email: 'gone@provider.example' };
    const lead = { ...people.chloe, sub: 'gone-lead', name: 'Gone Lead' };
    const request = await broker().ask(gone, 'remediate');
    const { grant } = await ok(decide(broker(), lead, request));
    await broker().sql.query('DELETE FROM personal_data WHERE person = ANY ($1)', [
      [request.requester.id, (await get(lead, '/v1/me')).id],
    ]);
    const shown = await get('olu', `/v1/requests/${request.id}`);
    assert.deepEqual(shown.requester, { id: request.requester.id, name: null });
    assert.equal(shown.decisions[0].by.name, null);
    assert.equal(shown.stages[0].approvedBy[0].name, null);
    assert.deepEqual(shown.grant.person, { id: request.requester.id, name: null });
    const { items } = await get('olu', '/v1/grants?view=all&limit=200');
    assert.equal(items.find((each: { id: string }) => each.id === grant.id).person.name, null);
    for (const line of [JSON.stringify(shown), JSON.stringify(items)]) assert.ok(!line.includes('Gone'));
    assert.equal((await mint(broker(), gone, grant)).status, 201);
  });

  test('words that are erased are null, and the ledger never held them', async () => {
    const secret = `the board room of ${crypto.randomUUID()}`;
    const request = await broker().ask('ada', 'remediate', { reason: secret, ticket: `T-${secret}` });
    await ok(decide(broker(), 'chloe', request, { verdict: 'deny', comment: secret }));
    const { rows } = await broker().sql.query(
      `SELECT count(*)::int AS count FROM audit_events WHERE position($1::bytea IN bytes) > 0`,
      [Buffer.from(secret)],
    );
    assert.equal(rows[0].count, 0);
    const [event] = (await broker().events('request.submitted')).filter((each) => each.request === request.id);
    const [denial] = (await broker().events('request.denied')).filter((each) => each.request === request.id);
    for (const [commitment, text] of [[event.reason, secret] as const, [event.ticket, `T-${secret}`] as const]) {
      const { rows: kept } = await broker().sql.query('SELECT salt, value FROM disclosures WHERE commitment = $1', [
        Buffer.from(commitment, 'base64url'),
      ]);
      const digest = createHash('sha256').update(kept[0].salt).update(text).digest('base64url');
      assert.deepEqual([kept[0].value, kept[0].salt.length, digest], [text, 16, commitment]);
    }
    await broker().sql.query('DELETE FROM disclosures WHERE commitment = ANY ($1)', [
      [event.ticket, denial.comment].map((commitment: string) => Buffer.from(commitment, 'base64url')),
    ]);
    const shown = await get('ada', `/v1/requests/${request.id}`);
    assert.deepEqual([shown.reason, shown.ticket, shown.decisions[0].comment], [secret, null, null]);
  });

  test('everyone signed in may see which policies are in force', async () => {
    const policies = await get('nobody', '/v1/policies');
    assert.match(policies.digest, /^sha256:[0-9a-f]{64}$/);
    assert.ok(Date.parse(policies.loadedAt));
    assert.equal(policies.error, null);
    refused(await broker().call(null, 'GET', '/v1/policies'), 401);
  });
});
