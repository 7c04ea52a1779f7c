import assert from 'node:assert/strict';
import { test } from 'node:test';
import { people, type Reply, type Who } from '../support/broker.ts';
import { everythingKept } from '../support/everything-kept.ts';
import type { TestPerson } from '../support/issuer.ts';
import { decide, ok, reasonsOf, refused, scenarios, sleep } from './support/scenario.ts';

scenarios((broker) => {
  const get = (who: Who, path: string) => ok(broker().call(who, 'GET', path));
  const erase = (who: Who, id: string): Promise<Reply> => broker().call(who, 'DELETE', `/v1/persons/${id}`);
  const newcomer = (name: string, more: object = {}): TestPerson => {
    const sub = crypto.randomUUID();
    return { ...people.ada, sub, name, email: `${sub}@provider.example`, ...more };
  };
  const idOf = async (who: Who): Promise<string> => (await get(who, '/v1/me')).id;
  const erasures = async (id: string) => (await broker().events('person.erased')).filter((e) => e.person === id);

  test('erasing a person takes names, addresses and every text by or about them, and leaves every proof', async () => {
    const canary = crypto.randomUUID();
    const gone = newcomer(`Gone ${canary}`);
    const id = await idOf(gone);
    const request = await broker().ask(gone, 'remediate', { reason: `by ${canary}`, ticket: `T ${canary}` });
    const { grant } = await ok(decide(broker(), 'chloe', request, { comment: `to ${canary}` }));
    await ok(broker().call('dmitri', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: `end ${canary}` }));
    const other = await broker().ask('ada', 'remediate', { reason: 'stays' });
    assert.match(await everythingKept(broker()), new RegExp(canary));

    assert.equal((await erase('olu', id)).status, 204);

    assert.doesNotMatch(await everythingKept(broker()), new RegExp(canary));
    const shown = await get('olu', `/v1/requests/${request.id}`);
    assert.deepEqual([shown.requester, shown.reason, shown.ticket], [{ id, name: null }, null, null]);
    const [decision] = shown.decisions;
    assert.deepEqual([decision.by.name, decision.comment], ['Chloé Marchetti', null]);
    assert.deepEqual([shown.grant.state, shown.grant.endReason], ['revoked', null]);
    assert.equal((await get('olu', `/v1/requests/${other.id}`)).reason, 'stays');
    await ok(broker().call('ada', 'POST', `/v1/requests/${other.id}/cancel`));
    const [event] = await erasures(id);
    assert.deepEqual(event.actor, { kind: 'person', id: await idOf('olu') });
    assert.equal((await erase('olu', id)).status, 204, 'once more is as well');
    assert.equal((await erasures(id)).length, 1);
    await broker().checkLedger();
  });

  test('whoever holds, awaits or has to answer for access is not erased before that is over', async () => {
    const holder = newcomer('Holder');
    const id = await idOf(holder);
    const pending = await broker().ask(holder, 'remediate');
    refused(await erase('olu', id), 409);
    const { grant } = await ok(decide(broker(), 'chloe', pending));
    refused(await erase('olu', id), 409);
    await ok(broker().call(holder, 'POST', `/v1/grants/${grant.id}/release`));

    const lead = newcomer('Lead', { teams: ['room-leads'] });
    const { grant: glass } = await broker().ask(lead, 'break-glass');
    await ok(broker().call(lead, 'POST', `/v1/grants/${glass.id}/release`));
    refused(await erase('olu', await idOf(lead)), 409);
    await ok(broker().call('dmitri', 'POST', `/v1/grants/${glass.id}/review`, { verdict: 'justified', comment: 'ok' }));
    for (const who of [holder, lead]) assert.equal((await erase('olu', await idOf(who))).status, 204);
    assert.equal((await get('olu', `/v1/grants/${glass.id}`)).person.name, null);
  });

  test('only an operator erases, and nobody themselves under any name', async () => {
    const id = await idOf(newcomer('Stays'));
    for (const who of ['ada', 'chloe', 'priya', 'carmen', 'aud', 'nobody'] as const) refused(await erase(who, id), 403);
    const operator = newcomer('Operator', { teams: ['operators'] });
    const alias = { ...newcomer('Alias'), email: operator.email! };
    await get(alias, '/v1/me');
    for (const who of [operator, alias]) {
      assert.deepEqual(reasonsOf(await erase(operator, await idOf(who))), ['erased-by-another']);
    }
    assert.equal((await get('olu', '/v1/me')).name, 'Olu Adeyemi');
    assert.deepEqual(await erasures(id), []);
  });

  test('an erased account goes on counting as the same human as those it shared an address with', async () => {
    const lead = newcomer('Lead', { teams: ['room-leads'] });
    const engineer = { ...newcomer('Engineer'), email: lead.email! };
    const [leadId] = [await idOf(lead), await idOf(engineer)];
    assert.equal((await erase('olu', leadId)).status, 204);
    const request = await broker().ask(engineer, 'remediate');
    assert.deepEqual(reasonsOf(await decide(broker(), lead, request)), ['no-self-approval']);
    await ok(broker().call(engineer, 'POST', `/v1/requests/${request.id}/cancel`));
  });

  test('a token from before brings nothing back, and one from a later sign-in does, under the same id', async () => {
    const person = newcomer('Before');
    const id = await idOf(person);
    const later = { ...person, name: 'Afterwards' };
    const old = { ...person, name: 'Still Before' };
    const token = await broker().issuer.tokenFor(old);
    assert.equal((await erase('olu', id)).status, 204);
    for (const side of [0, broker().brokers.length - 1]) {
      const headers = { authorization: `Bearer ${token}` };
      const me = await ok(broker().call(null, 'GET', '/v1/me', undefined, { broker: side, headers }));
      assert.deepEqual([me.id, me.name], [id, null]);
    }
    await sleep(1_100);
    assert.deepEqual(await get(later, '/v1/me').then((me) => [me.id, me.name]), [id, 'Afterwards']);
    assert.equal((await erase('olu', id)).status, 204);
    assert.equal((await erasures(id)).length, 2, 'what was learned anew is erased anew');
  });
});
