import assert from 'node:assert/strict';
import { test } from 'node:test';
import { people, type Who } from '../support/broker.ts';
import { decide, ok, refused, scenarios } from './support/scenario.ts';

interface Item {
  readonly id: string;
  readonly state: string;
  readonly profile: string;
}

scenarios((broker) => {
  const list = async (who: Who, query: string): Promise<Item[]> =>
    (await ok(broker().call(who, 'GET', `/v1/${query}`))).items;
  const idsOf = (items: readonly Item[]): string[] => items.map(({ id }) => id);

  test('a list is paged, newest first, without a gap or a repeat, also while it grows', async () => {
    const lister = { ...people.ada, sub: 'lister', email: 'lister@provider.example' };
    const made: string[] = [];
    for (let i = 0; i < 11; i++) {
      made.push(
        ...(await Promise.all(Array.from({ length: 11 }, () => broker().ask(lister, 'remediate')))).map((r) => r.id),
      );
    }
    assert.equal((await list(lister, 'requests')).length, 50, 'fifty unless told otherwise');
    const seen: string[] = [];
    let next: string | null = '';
    for (let pages = 0; next !== null; pages++) {
      const cursor = next && `&cursor=${next}`;
      const page: { items: Item[]; next: string | null } = await ok(
        broker().call(lister, 'GET', `/v1/requests?limit=20${cursor}`),
      );
      assert.ok(page.items.length === 20 || page.next === null);
      seen.push(...idsOf(page.items));
      next = page.next;
      if (pages === 2) await broker().ask(lister, 'remediate');
    }
    assert.deepEqual(seen, made.toSorted().toReversed());
    const exact = await ok(broker().call(lister, 'GET', '/v1/requests?limit=122'));
    assert.equal(exact.next, null, 'a full last page has no next');
    for (const query of [
      'limit=0',
      'limit=201',
      'limit=ten',
      'cursor=there',
      `cursor=${'x'.repeat(200)}`,
      'order=up',
    ]) {
      refused(await broker().call(lister, 'GET', `/v1/requests?${query}`), 400);
    }
  });

  test('a repeated state means any of them', async () => {
    const owner = { ...people.ada, sub: 'owner', email: 'owner@provider.example' };
    const [pending, cancelled, denied, granted] = await Promise.all(
      Array.from({ length: 4 }, () => broker().ask(owner, 'remediate')),
    );
    await ok(broker().call(owner, 'POST', `/v1/requests/${cancelled.id}/cancel`));
    await ok(decide(broker(), 'chloe', denied, { verdict: 'deny' }));
    const { grant } = await ok(decide(broker(), 'chloe', granted));
    const of = async (query: string): Promise<string[]> => idsOf(await list(owner, `requests?${query}`)).toSorted();
    assert.deepEqual(await of('state=pending'), [pending.id]);
    assert.deepEqual(
      await of('state=cancelled&state=denied'),
      [cancelled.id as string, denied.id as string].toSorted(),
    );
    assert.equal((await of('state=pending&state=cancelled&state=denied&state=granted')).length, 4);
    refused(await broker().call(owner, 'GET', '/v1/requests?state=open'), 400);
    assert.deepEqual(idsOf(await list(owner, 'grants?state=active&state=scheduled')), [grant.id]);
    assert.deepEqual(await list(owner, 'grants?state=revoked&state=released'), []);
    await ok(broker().call(owner, 'POST', `/v1/grants/${grant.id}/release`));
    assert.deepEqual(idsOf(await list(owner, 'grants?state=revoked&state=released')), [grant.id]);
  });

  test('`approvable` holds just what the caller could decide now', async () => {
    const approvable = async (who: Who): Promise<Set<string>> =>
      new Set(idsOf(await list(who, 'requests?view=approvable&limit=200')));
    const remote = await broker().ask('ada', 'remote-admin');
    const logs = await broker().ask('ada', 'collect-identity-logs');
    const other = await broker().ask('ada', 'remote-admin', { devices: [broker().fabrikam.devices[0]!.id] });
    const has = async (who: Who, ...ids: string[]): Promise<boolean[]> => {
      const set = await approvable(who);
      return ids.map((id) => set.has(id));
    };
    const all = [remote.id, logs.id, other.id];
    assert.deepEqual(await has('chloe', ...all), [true, false, true]);
    assert.deepEqual(await has('priya', ...all), [false, true, false]);
    assert.deepEqual(await has('carmen', ...all), [true, true, false]);
    assert.deepEqual(await has('felix', ...all), [false, false, true]);
    for (const who of ['ada', 'olu', 'aud', 'nobody'] as const) {
      refused(await broker().call(who, 'GET', '/v1/requests?view=approvable'), 403);
    }

    await ok(decide(broker(), 'chloe', remote));
    assert.deepEqual(await has('chloe', remote.id), [false], 'not what one has decided');
    assert.deepEqual(await has('dmitri', remote.id), [false], 'nor a stage that is passed');
    assert.deepEqual(await has('carmen', remote.id), [true]);
    const person = {
      ...people.ada,
      sub: 'both-teams',
      email: 'both@provider.example',
      teams: ['room-leads', 'privacy-office', 'room-ops'],
    };
    const own = await broker().ask(person, 'remediate');
    assert.deepEqual(await has(person, own.id, logs.id), [false, true], 'nor one’s own');
    const alias = { sub: 'both-alias', email: 'BOTH@provider.example', teams: ['room-leads'], employer: 'provider' };
    assert.deepEqual(await has(alias, own.id, other.id), [false, true], 'nor that of another account of one’s own');
    await ok(decide(broker(), person, logs));
    assert.deepEqual(await has('priya', logs.id), [false]);
    await ok(decide(broker(), 'carmen', remote, { verdict: 'deny' }));
    assert.deepEqual(await has('carmen', remote.id), [false], 'nor what has ended');
    const filtered = await list('chloe', 'requests?view=approvable&tenant=fabrikam');
    assert.ok(idsOf(filtered).includes(other.id));
    assert.deepEqual(await list('chloe', 'requests?view=approvable&state=denied'), []);
    const customerOnly = { sub: 'odd', teams: ['room-leads'], employer: 'customer' };
    refused(await broker().call(customerOnly, 'GET', '/v1/requests?view=approvable'), 403);
  });

  test('lists hold what policy lets the caller see, and a list one has no part in is 403', async () => {
    const here = (await broker().ask('ben', 'diagnose')).grant;
    const there = (await broker().ask('ada', 'diagnose', { devices: [broker().fabrikam.devices[0]!.id] })).grant;
    const sees = async (who: Who, view: string): Promise<boolean[]> => {
      const ids = idsOf(await list(who, `grants?view=${view}&limit=200`));
      return [ids.includes(here.id), ids.includes(there.id)];
    };
    assert.deepEqual(await sees('ada', 'mine'), [false, true]);
    assert.deepEqual(await sees('ben', 'mine'), [true, false]);
    for (const who of ['chloe', 'priya', 'olu', 'aud'] as const)
      assert.deepEqual(await sees(who, 'all'), [true, true], who);
    assert.deepEqual(await sees('carmen', 'all'), [true, false]);
    assert.deepEqual(await sees('felix', 'all'), [false, true]);
    for (const what of ['grants', 'requests']) {
      for (const who of ['ada', 'nobody'] as const)
        refused(await broker().call(who, 'GET', `/v1/${what}?view=all`), 403);
      for (const who of ['carmen', 'aud', 'nobody'] as const)
        refused(await broker().call(who, 'GET', `/v1/${what}`), 403);
      refused(await broker().call('ada', 'GET', `/v1/${what}?view=theirs`), 400);
    }
  });

  test('grants and requests are filtered by tenant, named by slug or id, and grants by device', async () => {
    const asker = { ...people.ada, sub: 'asker', email: 'asker@provider.example' };
    const [a, b] = broker().contoso.devices;
    const wishes = [[a!.id], [a!.id, b!.id], [broker().fabrikam.devices[0]!.id]];
    const grants: { id: string; request: string }[] = [];
    for (const devices of wishes) grants.push((await broker().ask(asker, 'diagnose', { devices })).grant);
    const of = async (query: string): Promise<number[]> => {
      const ids = idsOf(await list(asker, query));
      return grants.flatMap(({ id, request }, index) => (ids.includes(id) || ids.includes(request) ? [index] : []));
    };
    for (const tenant of ['contoso', broker().contoso.id]) {
      assert.deepEqual(await of(`grants?tenant=${tenant}`), [0, 1]);
      assert.deepEqual(await of(`requests?tenant=${tenant}`), [0, 1]);
    }
    assert.deepEqual(await of('grants?tenant=fabrikam'), [2]);
    assert.deepEqual(await of('grants?tenant=nowhere'), []);
    assert.deepEqual(await of(`grants?device=${b!.id}`), [1]);
    assert.deepEqual(await of(`grants?device=${a!.id}&state=active&tenant=contoso`), [0, 1]);
    assert.deepEqual(await of(`grants?device=${a!.id}&tenant=fabrikam`), []);
    refused(await broker().call(asker, 'GET', '/v1/grants?device=boardroom'), 400);
  });

  test('devices and tenants are listed to those who may see them, and found by part of a fact', async () => {
    const names = async (who: Who, query = ''): Promise<string[]> =>
      (await ok(broker().call(who, 'GET', `/v1/devices?limit=200${query}`))).items
        .map((d: { name: string }) => d.name)
        .toSorted();
    assert.deepEqual(await names('ada'), ['atrium', 'boardroom', 'lobby', 'studio']);
    assert.deepEqual(await names('carmen'), ['boardroom', 'lobby', 'studio']);
    assert.deepEqual(await names('felix'), ['atrium']);
    assert.deepEqual(await names('felix', '&tenant=contoso'), []);
    assert.deepEqual(await names('ada', '&tenant=fabrikam'), ['atrium']);
    assert.deepEqual(await names('ada', '&q=sn-LOB'), ['lobby']);
    assert.deepEqual(await names('ada', '&q=%25'), [], 'a wildcard is a letter like any other');
    refused(await broker().call('nobody', 'GET', '/v1/devices'), 403);
    const slugs = async (who: Who): Promise<string[]> =>
      (await ok(broker().call(who, 'GET', '/v1/tenants'))).items.map((t: { slug: string }) => t.slug).toSorted();
    assert.deepEqual(await slugs('olu'), ['contoso', 'fabrikam']);
    assert.deepEqual(await slugs('carmen'), ['contoso']);
    refused(await broker().call('ada', 'GET', '/v1/tenants'), 403);
    refused(await broker().call('felix', 'GET', '/v1/tenants/contoso'), 404);
    refused(await broker().call('olu', 'GET', '/v1/tenants/nowhere'), 404);
  });
});
