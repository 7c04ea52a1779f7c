import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { decide, ok, policiesCopy, reasonsOf, refused, scenarios } from './support/scenario.ts';

const policies = await policiesCopy({
  update: async (shipped) => ({
    ...(await shipped('update')),
    stages: [
      { name: 'leads', from: ['room-leads'], needs: 2 },
      { name: 'either', from: ['privacy-office', 'customer-approvers:{tenant}'], needs: 1 },
    ],
  }),
});
after(() => policies.remove());

scenarios(
  (broker) => {
    test('a stage that needs two takes two humans, and the same one twice counts once', async () => {
      const request = await broker().ask('ada', 'update');
      await ok(decide(broker(), 'chloe', request));
      const again = await ok(decide(broker(), 'chloe', request));
      assert.equal(again.stages[0].approvedBy.length, 1);
      await ok(decide(broker(), 'carmen', request));
      const third = { sub: 'third', teams: ['room-leads'], employer: 'provider' };
      const granted = await ok(decide(broker(), 'dmitri', request));
      assert.equal(granted.state, 'granted');
      assert.equal(granted.stages[0].approvedBy.length, 2);
      refused(await decide(broker(), third, request), 409);
    });

    test('a stage that is passed takes no more approvals, though its people may still deny', async () => {
      const request = await broker().ask('ada', 'update');
      await ok(decide(broker(), 'priya', request));
      refused(await decide(broker(), 'carmen', request), 409);
      assert.equal((await ok(decide(broker(), 'carmen', request, { verdict: 'deny' }))).state, 'denied');
    });

    test('a stage of several teams takes any of them, and shows in what they may decide', async () => {
      for (const who of ['priya', 'carmen'] as const) {
        const request = await broker().ask('ada', 'update');
        const { items } = await ok(broker().call(who, 'GET', '/v1/requests?view=approvable'));
        assert.ok(
          items.some(({ id }: { id: string }) => id === request.id),
          who,
        );
        const decided = await ok(decide(broker(), who, request));
        assert.equal(decided.decisions[0].stage, 'either');
        refused(await decide(broker(), 'felix', request), 404);
      }
    });

    test('two accounts of one lead are one of the two', async () => {
      const lead = (sub: string) => ({
        sub,
        email: 'same@provider.example',
        teams: ['room-leads'],
        employer: 'provider',
      });
      await broker().call(lead('same-2'), 'GET', '/v1/me');
      const request = await broker().ask('ada', 'update');
      await ok(decide(broker(), lead('same-1'), request));
      assert.deepEqual(reasonsOf(await decide(broker(), lead('same-2'), request)), ['one-human-one-stage']);
    });
  },
  { policies: policies.directory },
);
