import assert from 'node:assert/strict';
import { test } from 'node:test';
import { people } from '../support/broker.ts';
import { decide, eventually, mint, ok, refused, scenarios, sleep, unswept } from './support/scenario.ts';

scenarios(
  (broker) => {
    const grant = (id: string) => ok(broker().call('chloe', 'GET', `/v1/grants/${id}`));
    const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1_000).toISOString();
    const started = async (id: string) => (await broker().events('grant.started')).find((e) => e.grant === id);

    test('a scheduled grant starts at its time, neither before nor only when somebody looks', async () => {
      const startsAt = inSeconds(3);
      const { grant: scheduled } = await broker().ask('ada', 'diagnose', { startsAt, duration: 'PT1M' });
      assert.equal(scheduled.state, 'scheduled');
      assert.equal(scheduled.startsAt, startsAt);
      assert.equal(
        Date.parse(scheduled.expiresAt) - Date.parse(startsAt),
        60_000,
        'the duration counts from the start',
      );
      refused(await mint(broker(), 'ada', scheduled), 409);
      assert.equal(await started(scheduled.id), undefined);
      const event = await eventually(() => started(scheduled.id));
      assert.ok(Date.parse(event.at) >= Date.parse(startsAt) && Date.parse(event.at) < Date.parse(startsAt) + 5_000);
      assert.deepEqual(event.actor, { kind: 'broker', id: 'broker' });
      assert.equal((await grant(scheduled.id)).state, 'active');
      assert.equal((await mint(broker(), 'ada', scheduled)).status, 201);
    });

    test('the last approval may come after the time asked for: then the grant starts with it', async () => {
      const startsAt = inSeconds(2);
      const request = await broker().ask('ada', 'remote-admin', { startsAt });
      await ok(decide(broker(), 'chloe', request));
      assert.equal(request.grant, null);
      await sleep(Date.parse(startsAt) - Date.now() + 50);
      // The profile's own lapse time is longer, so it still waits.
      const { grant } = await ok(decide(broker(), 'carmen', request));
      assert.equal(grant.state, 'active');
      assert.ok(Date.parse(grant.startsAt) > Date.parse(startsAt));
      assert.equal(Date.parse(grant.expiresAt) - Date.parse(grant.startsAt), 600_000);
    });

    test('policy is asked again at the start: who has lost the right meanwhile gets nothing', async () => {
      const mover = { ...people.ada, sub: 'mover', name: 'Mover', email: 'mover@provider.example' };
      const { grant: scheduled } = await broker().ask(mover, 'diagnose', { startsAt: inSeconds(3) });
      // A newer token says that they have left the team.
      await unswept(broker(), 'grants', scheduled.id, () =>
        ok(broker().call({ ...mover, teams: [] }, 'GET', '/v1/me')),
      );
      const ended = await eventually(async () => {
        const now = await grant(scheduled.id);
        return now.state === 'revoked' && now;
      });
      assert.equal(ended.endedBy, null);
      assert.match(ended.endReason, /\S/);
      assert.equal(await started(scheduled.id), undefined);
      const [revoked] = (await broker().events('grant.revoked')).filter((event) => event.grant === scheduled.id);
      assert.equal(revoked.cause, 'policy');
      assert.equal(revoked.actor.kind, 'broker');
      assert.ok(revoked.decision.inputs, 'the decision can be made again from its inputs');
      const { items } = await ok(broker().call(mover, 'GET', '/v1/notices'));
      assert.ok(
        items.some((n: { subject: string }) => n.subject === scheduled.id),
        'the holder is told',
      );
      refused(await mint(broker(), mover, scheduled), 409);
    });

    test('training that runs out before the start revokes it, saying so', async () => {
      const trained = { ...people.ada, sub: 'trained', email: 'trained@provider.example' };
      const person = { ...trained, trainingValidUntil: inSeconds(2.9) };
      const { grant: scheduled } = await broker().ask(person, 'diagnose', { startsAt: inSeconds(3) });
      const ended = await eventually(async () => {
        const now = await grant(scheduled.id);
        return now.state === 'revoked' && now;
      });
      assert.match(ended.endReason, /training/);
    });

    test('a scheduled grant may be released by its holder and revoked by others, and then never starts', async () => {
      const startsAt = inSeconds(5);
      const { grant: one } = await broker().ask('ada', 'diagnose', { startsAt });
      const { grant: other } = await broker().ask('ada', 'diagnose', { startsAt });
      const released = await ok(broker().call('ada', 'POST', `/v1/grants/${one.id}/release`));
      assert.deepEqual([released.state, released.endedBy.name, released.endReason], ['released', 'Ada Okafor', null]);
      const revoked = await ok(broker().call('olu', 'POST', `/v1/grants/${other.id}/revoke`, { reason: 'not today' }));
      assert.deepEqual(
        [revoked.state, revoked.endedBy.name, revoked.endReason],
        ['revoked', 'Olu Adeyemi', 'not today'],
      );
      await sleep(Date.parse(startsAt) - Date.now() + 800);
      for (const { id } of [one, other]) assert.equal(await started(id), undefined);
      refused(await broker().call('ada', 'POST', `/v1/grants/${one.id}/release`), 409);
    });

    test('a scheduled grant cannot be extended before it has begun', async () => {
      const { grant: scheduled } = await broker().ask('ada', 'diagnose', { startsAt: inSeconds(60) });
      const wish = { duration: 'PT1M', reason: 'more' };
      refused(await broker().call('ada', 'POST', `/v1/grants/${scheduled.id}/extensions`, wish), 409);
      await ok(broker().call('ada', 'POST', `/v1/grants/${scheduled.id}/release`));
    });
  },
  { concurrency: true },
);
