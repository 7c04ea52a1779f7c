import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { stateOf, steps } from '../support/steps.ts';

let broker: TestBroker;
let proxy: Proxy;
before(async () => {
  broker = await newTestBroker({
    databaseUrl: async (url) => {
      proxy = await startProxy(url);
      return proxy.url;
    },
  });
});
after(async () => {
  await broker.stop();
  await proxy.stop();
});

/**
 * Under a key, the answer is kept in the commit that is cut, and found at once. Without one, the sweeper and the
 * sequencer commit too and may be those who hear nothing, so such a step is sent until it was its own commit.
 */
for (const [name, prepare] of Object.entries(steps)) {
  test(`${name}: done, but its answer lost on the way from the database, it is found done and never done twice`, async () => {
    const { url } = broker.brokers[0]!;
    for (let tries = 0; ; tries++) {
      const step = await prepare(broker);
      // What was prepared is in the ledger by then, so that the sequencer commits nothing meanwhile.
      await sleep(100);
      const key = randomUUID();
      const before = await stateOf(broker);
      const cuts = proxy.cuts;
      const underKey = step.method === 'POST' && step.who !== null;
      proxy.cutNextCommit(underKey ? 'keep-answer' : '');
      const lost = await step.send(url, key);
      assert.equal(proxy.cuts, cuts + 1);
      if (!underKey && lost.status === step.status && tries < 40) continue;
      assert.equal(lost.status, underKey ? step.status : 503, JSON.stringify(lost.body));
      const done = await stateOf(broker);
      assert.notDeepEqual(done, before, 'it was not done');
      if (underKey) {
        assert.deepEqual((await step.send(url, key)).body, lost.body);
      } else {
        // Without a key the caller is told that it is done, or that it cannot be done again.
        const again = await step.send(url, null);
        assert.ok([200, 403, 404, 409].includes(again.status), `${again.status} ${JSON.stringify(again.body)}`);
      }
      assert.deepEqual(await stateOf(broker), done, 'it was done twice');
      await broker.checkLedger();
      return;
    }
  });
}

test('while the database cannot be reached, calls are told to come back, and are served once it can', async () => {
  proxy.setDown(true);
  try {
    for (const [method, path] of [
      ['POST', '/v1/requests'],
      ['GET', '/v1/requests'],
      ['GET', '/v1/devices'],
    ] as const) {
      const body =
        method === 'POST'
          ? { profile: 'diagnose', devices: [broker.contoso.devices[0]!.id], duration: 'PT5M', reason: 'x' }
          : undefined;
      const { status, headers } = await broker.call('ada', method, path, body);
      assert.equal(status, 503, path);
      assert.match(headers.get('retry-after') ?? '', /^\d+$/);
    }
    assert.equal((await broker.call(null, 'GET', '/livez')).status, 200);
    assert.equal((await broker.call(null, 'GET', '/readyz')).status, 503);
  } finally {
    proxy.setDown(false);
  }
  for (let tries = 0; (await broker.call(null, 'GET', '/readyz')).status !== 200; tries++) {
    assert.ok(tries < 100, 'it does not recover');
    await sleep(50);
  }
  await broker.grant('ada', 'remediate');
  await broker.checkLedger();
});
