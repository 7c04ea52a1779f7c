import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { decide, ok, policiesCopy, refused, scenarios, sleep } from './support/scenario.ts';

const policies = await policiesCopy({
  update: async (shipped) => ({ ...(await shipped('update')), lapse: 'PT2S' }),
});
after(() => policies.remove());

scenarios(
  (broker) => {
    /** Waits at the first broker. */
    const wait = async (id: string, seconds: number | string) => {
      const began = performance.now();
      const reply = await broker().call('ada', 'GET', `/v1/requests/${id}?wait=${seconds}`, undefined, { broker: 0 });
      return { ...reply, waited: performance.now() - began };
    };
    const last = (): number => broker().brokers.length - 1;

    test('who waits is answered when the request is decided, by whichever broker', async () => {
      const request = await broker().ask('ada', 'remediate');
      const waiting = wait(request.id, 20);
      await sleep(200);
      await ok(decide(broker(), 'chloe', request, {}, { broker: last() }));
      const { body, waited } = await waiting;
      assert.equal(body.state, 'granted');
      assert.equal(body.grant.state, 'active');
      assert.ok(waited > 200 && waited < 15_000, `${waited} ms`);
    });

    test('any step is a change, and many may wait for it', async () => {
      const request = await broker().ask('ada', 'remote-admin');
      const waiting = Promise.all(Array.from({ length: 10 }, () => wait(request.id, 20)));
      await sleep(200);
      await ok(decide(broker(), 'carmen', request, {}, { broker: last() }));
      for (const { body } of await waiting) {
        assert.equal(body.state, 'pending');
        assert.equal(body.decisions.length, 1);
      }
      const cancelled = wait(request.id, 20);
      await sleep(100);
      await ok(broker().call('ada', 'POST', `/v1/requests/${request.id}/cancel`, undefined, { broker: last() }));
      assert.equal((await cancelled).body.state, 'cancelled');
    });

    test('who waits is answered when the request lapses', async () => {
      const request = await broker().ask('ada', 'update');
      const { body, waited } = await wait(request.id, 20);
      assert.equal(body.state, 'lapsed');
      assert.ok(waited < 15_000, `${waited} ms`);
    });

    test('when nothing changes the answer comes at the end of the time', async () => {
      const request = await broker().ask('ada', 'remediate');
      const { body, status, waited } = await wait(request.id, 1);
      assert.deepEqual([status, body.state], [200, 'pending']);
      assert.ok(waited >= 990 && waited < 15_000, `${waited} ms`);
      assert.equal((await wait(request.id, 0)).status, 200);
    });

    test('nobody waits for what can no longer change', async () => {
      const granted = await broker().ask('ada', 'diagnose');
      const { body, waited } = await wait(granted.id, 20);
      assert.equal(body.state, 'granted');
      assert.ok(waited < 15_000, `${waited} ms`);
    });

    test('waiting shows nothing to who may not see it, and has its bounds', async () => {
      const request = await broker().ask('ada', 'remediate');
      refused(await broker().call('ben', 'GET', `/v1/requests/${request.id}?wait=20`), 404);
      for (const seconds of ['-1', '61', 'long', '1.5']) refused(await wait(request.id, seconds), 400);
    });
  },
  { policies: policies.directory, concurrency: true },
);
