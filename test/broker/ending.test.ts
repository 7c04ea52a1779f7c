import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeJwt } from 'jose';
import { mint, ok, reasonsOf, refused, scenarios } from './support/scenario.ts';

scenarios((broker) => {
  const revoke = (who: 'ada' | 'ben' | 'chloe' | 'olu' | 'carmen' | 'felix' | 'aud' | 'priya', grant: { id: string }) =>
    broker().call(who, 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'the meeting starts early' });
  const release = (who: 'ada' | 'ben' | 'chloe' | 'olu', grant: { id: string }) =>
    broker().call(who, 'POST', `/v1/grants/${grant.id}/release`);
  const listed = async (): Promise<string[]> => {
    const { text } = await broker().contoso.devices[0]!.call('GET', '/v1/agent/live-grants');
    return decodeJwt<{ grants: { id: string }[] }>(text).grants.map(({ id }) => id);
  };

  test('its holder releases a grant, and it is over at once', async () => {
    const grant = await broker().grant('ada', 'remediate');
    assert.ok((await listed()).includes(grant.id));
    const released = await ok(release('ada', grant));
    assert.equal(released.state, 'released');
    assert.deepEqual(released.endedBy, grant.person);
    assert.equal(released.endReason, null);
    assert.ok(released.endedAt >= grant.startsAt && released.endedAt < grant.expiresAt);
    assert.equal(released.expiresAt, grant.expiresAt);
    assert.ok(!(await listed()).includes(grant.id));
    refused(await mint(broker(), 'ada', grant), 409);
    refused(await release('ada', grant), 409);
    refused(await revoke('chloe', grant), 409);
    assert.equal((await broker().events('grant.released')).filter((e) => e.grant === grant.id).length, 1);
  });

  test('nobody else releases it', async () => {
    const grant = await broker().grant('ada', 'remediate');
    refused(await release('ben', grant), 404);
    for (const who of ['chloe', 'olu'] as const) refused(await release(who, grant), 403);
    await ok(release('ada', grant));
  });

  for (const who of ['chloe', 'olu', 'carmen'] as const) {
    test(`a grant is revoked by those who may, as by ${who}, and its holder is told`, async () => {
      const grant = await broker().grant('ada', 'remediate');
      const revoked = await ok(revoke(who, grant));
      assert.equal(revoked.state, 'revoked');
      assert.equal(revoked.endReason, 'the meeting starts early');
      assert.match(revoked.endedBy.id, /^per_/);
      assert.ok(!(await listed()).includes(grant.id));
      assert.deepEqual(await ok(broker().call('ada', 'GET', `/v1/grants/${grant.id}`)), revoked);
      const { items } = await ok(broker().call('ada', 'GET', '/v1/notices'));
      assert.ok(
        items.some((n: { kind: string; subject: string }) => n.kind === 'grant-revoked' && n.subject === grant.id),
      );
      const [event] = (await broker().events('grant.revoked')).filter((e) => e.grant === grant.id);
      assert.equal(event.actor.id, revoked.endedBy.id);
      assert.ok(!JSON.stringify(event).includes('meeting'), 'the ledger holds no words of people');
      refused(await revoke(who, grant), 409);
      refused(await release('ada', grant), 409);
    });
  }

  test('others see it and may not, or do not see it', async () => {
    const grant = await broker().grant('ada', 'remediate');
    for (const who of ['aud', 'priya'] as const) refused(await revoke(who, grant), 403);
    for (const who of ['ben', 'felix'] as const) refused(await revoke(who, grant), 404);
    assert.deepEqual(reasonsOf(await revoke('ada', grant)), ['holder-releases']);
    refused(await broker().call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, {}), 400, '/reason');
    await ok(release('ada', grant));
    refused(await revoke('aud', grant), 403);
  });

  test('a holder who is also a lead releases rather than revokes', async () => {
    const { grant } = await broker().ask('chloe', 'break-glass');
    assert.deepEqual(reasonsOf(await revoke('chloe', grant)), ['holder-releases']);
    await ok(release('chloe', grant));
    await ok(broker().call('dmitri', 'POST', `/v1/grants/${grant.id}/review`, { verdict: 'justified' }));
  });
});
