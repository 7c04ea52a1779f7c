import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { decide, eventually, ok, policiesCopy, refused, scenarios, sleep, unswept } from './support/scenario.ts';

const policies = await policiesCopy({
  remediate: async (shipped) => ({ ...(await shipped('remediate')), lapse: 'PT1S' }),
});
after(() => policies.remove());

scenarios(
  (broker) => {
    const get = (id: string) => ok(broker().call('ada', 'GET', `/v1/requests/${id}`));

    test('a request waits as long as its profile says, and is lapsed from that moment', async () => {
      const request = await broker().ask('ada', 'remediate');
      const lapsesAt = Date.parse(request.lapsesAt);
      assert.equal(lapsesAt - Date.parse(request.createdAt), 1_000);
      const [event] = await eventually(async () => {
        const events = await broker().events('request.lapsed');
        return events.some((e) => e.request === request.id) && events;
      });
      assert.ok(Date.parse(event.at) >= lapsesAt && Date.parse(event.at) < lapsesAt + 5_000);
      assert.equal((await get(request.id)).state, 'lapsed');
      refused(await decide(broker(), 'chloe', request), 409);
      refused(await decide(broker(), 'chloe', request, { verdict: 'deny' }), 409);
      refused(await broker().call('ada', 'POST', `/v1/requests/${request.id}/cancel`), 409);
      refused(await decide(broker(), 'aud', request), 403);
    });

    test('the clock lapses a request before anybody has recorded it', async () => {
      const request = await broker().ask('ada', 'remediate');
      await unswept(broker(), 'requests', request.id, async () => {
        await sleep(Date.parse(request.lapsesAt) - Date.now() + 20);
        assert.equal((await get(request.id)).state, 'lapsed');
        const ids = async (state: string): Promise<string[]> =>
          (await ok(broker().call('ada', 'GET', `/v1/requests?state=${state}`))).items.map((r: { id: string }) => r.id);
        assert.ok((await ids('lapsed')).includes(request.id));
        assert.ok(!(await ids('pending')).includes(request.id));
        const approvable = await ok(broker().call('chloe', 'GET', '/v1/requests?view=approvable'));
        assert.ok(!approvable.items.some((r: { id: string }) => r.id === request.id));
        const { rows } = await broker().sql.query('SELECT state FROM requests WHERE id = $1', [request.id]);
        assert.equal(rows[0].state, 'pending', 'nobody has recorded it');
      });
      refused(await decide(broker(), 'chloe', request), 409);
      await eventually(async () => (await broker().events('request.lapsed')).some((e) => e.request === request.id));
    });

    test('a scheduled request does not lapse before it would start', async () => {
      const startsAt = new Date(Date.now() + 6_000).toISOString();
      const request = await broker().ask('ada', 'remediate', { startsAt });
      assert.equal(request.lapsesAt, startsAt);
      await sleep(1_300);
      const granted = await ok(decide(broker(), 'chloe', request));
      assert.equal(granted.grant.state, 'scheduled');
      assert.equal(granted.grant.startsAt, startsAt);
      await ok(broker().call('ada', 'POST', `/v1/grants/${granted.grant.id}/release`));
    });
  },
  { policies: policies.directory, concurrency: true },
);
