import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { LatchkeyError } from '../../src/domain/errors.ts';
import { createRateLimiter } from '../../src/http/rate-limit.ts';
import { newTestBroker, people, type TestBroker, type Who } from '../support/broker.ts';
import { callText, say } from '../support/raw-http.ts';

/** How many of so many calls at one moment get through. */
function through(limit: (key: string) => void, key: string, calls: number): number {
  let count = 0;
  for (let call = 0; call < calls; call++) {
    try {
      limit(key);
      count++;
    } catch (error) {
      assert.ok(error instanceof LatchkeyError && error.code === 'too-many-requests');
    }
  }
  return count;
}

describe('a limit', () => {
  test('lets a burst through, then so many a second, and never saves up more than a burst', () => {
    let now = 1_000_000;
    const limit = createRateLimiter({ perSecond: 50, burst: 200 }, () => now);
    assert.equal(through(limit, 'ada', 500), 200);
    now += 1_000;
    assert.equal(through(limit, 'ada', 500), 50);
    now += 3_600_000;
    assert.equal(through(limit, 'ada', 500), 200);
  });

  test('lets more through of what counts for less', () => {
    let now = 0;
    const limit = createRateLimiter({ perSecond: 1, burst: 2 }, () => now);
    const tile = (key: string): void => limit(key, 0.25);
    assert.equal(through(tile, 'aud', 100), 8);
    now += 1_000;
    assert.equal(through(tile, 'aud', 100), 4);
    assert.equal(through(limit, 'aud', 1), 0);
  });

  test('is each key’s own', () => {
    const limit = createRateLimiter({ perSecond: 1, burst: 3 }, () => 0);
    assert.equal(through(limit, 'ada', 10), 3);
    assert.equal(through(limit, 'ben', 10), 3);
  });

  test('says how long to wait, and after that long lets through', () => {
    let now = 0;
    const limit = createRateLimiter({ perSecond: 0.1, burst: 1 }, () => now);
    limit('ada');
    assert.throws(
      () => limit('ada'),
      (error) => error instanceof LatchkeyError && error.retryAfter === 10,
    );
    now += 10_000;
    limit('ada');
  });

  test('is no way to fill the memory: of very many addresses a bounded number is remembered', () => {
    const limit = createRateLimiter({ perSecond: 1, burst: 1 }, () => 0);
    limit('first');
    for (let address = 0; address < 60_000; address++) limit(`2001:db8::${address.toString(16)}`);
    // It has been forgotten: those who come often are not.
    limit('first');
  });

  test('is not loosened by a clock that goes backwards', () => {
    let now = 1_000_000;
    const limit = createRateLimiter({ perSecond: 10, burst: 5 }, () => now);
    assert.equal(through(limit, 'ada', 5), 5);
    now -= 500_000;
    assert.equal(through(limit, 'ada', 5), 0);
    now += 500_000;
    assert.ok(through(limit, 'ada', 500) <= 5);
  });
});

const slow = { perSecond: 0.01, burst: 8 };
const lax = { perSecond: 100_000, burst: 100_000 };
const brokers: TestBroker[] = [];
after(async () => {
  for (const broker of brokers) {
    await broker.checkLedger();
    await broker.stop();
  }
});
async function brokerWith(config: object): Promise<TestBroker> {
  const broker = await newTestBroker({ config });
  brokers.push(broker);
  return broker;
}
const statuses = async (broker: TestBroker, who: Who | null, calls: number, path = '/v1/me'): Promise<number[]> => {
  const replies = await Promise.all(Array.from({ length: calls }, () => broker.call(who, 'GET', path)));
  return replies.map(({ status }) => status);
};
const count = (list: readonly number[], status: number): number => list.filter((each) => each === status).length;

test('by default one person makes 200 calls at once and 50 a second, and nobody else notices', async () => {
  const broker = await newTestBroker({ config: { rateLimits: { address: lax, device: lax } } });
  brokers.push(broker);
  assert.deepEqual(broker.config.rateLimits.person, { perSecond: 50, burst: 200 });
  const started = performance.now();
  const [ada, ben] = await Promise.all([statuses(broker, 'ada', 400), statuses(broker, 'ben', 20)]);
  const seconds = (performance.now() - started) / 1000;
  assert.equal(count(ben, 200), 20);
  assert.ok(count(ada, 200) >= 200 && count(ada, 200) <= 200 + 50 * seconds + 1, `${count(ada, 200)} in ${seconds} s`);
  const refused = await broker.call('ada', 'GET', '/v1/me');
  if (refused.status === 429) assert.ok(Number(refused.headers.get('retry-after')) >= 1);
});

test('a person’s limit follows the person, not the token', async () => {
  const broker = await brokerWith({ rateLimits: { person: slow, address: lax, device: lax } });
  const person = people.zed;
  assert.equal(count(await statuses(broker, person, 8), 200), 8);
  const refused = await broker.call({ ...person, teams: ['room-leads'] }, 'GET', '/v1/me');
  assert.equal(refused.status, 429);
  assert.equal(refused.body.type, 'urn:latchkey:problem:too-many-requests');
  assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
  assert.match(refused.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.ok(refused.headers.get('x-request-id'));
  // What does not take a person does not mind.
  assert.equal((await broker.call(null, 'GET', '/v1/sign-in')).status, 200);
});

test('a device’s limit is its own: the next device and people go on', async () => {
  const broker = await brokerWith({ rateLimits: { person: lax, address: lax, device: slow } });
  const [one, two] = broker.contoso.devices;
  const first = [];
  for (let call = 0; call < 10; call++) first.push((await one!.call('GET', '/v1/agent/live-grants')).status);
  assert.deepEqual([count(first, 200), count(first, 429)], [7, 3], 'its signing in counts too');
  assert.equal((await two!.call('GET', '/v1/agent/live-grants')).status, 200);
  assert.deepEqual(count(await statuses(broker, 'ada', 20), 200), 20);
});

describe('without a valid identity an address is limited', () => {
  test('and those with one, from the same address, are not', async () => {
    const broker = await brokerWith({
      rateLimits: { person: lax, device: lax, address: { perSecond: 0.01, burst: 40 } },
    });
    const wrong = await Promise.all(
      Array.from({ length: 60 }, () =>
        broker.call(null, 'GET', '/v1/me', undefined, { headers: { authorization: 'Bearer e30.e30.c2ln' } }),
      ),
    );
    const got = wrong.map(({ status }) => status);
    assert.ok(count(got, 401) <= 40 && count(got, 429) >= 20, JSON.stringify(got));
    for (const path of ['/v1/sign-in', '/nowhere']) {
      assert.equal((await broker.call(null, 'GET', path)).status, 429, path);
    }
    assert.equal(count(await statuses(broker, 'ada', 20), 200), 20);
    const device = broker.contoso.devices[0]!;
    assert.equal((await device.signIn()).status, 200, 'a device that can prove who it is signs in');
    const rubbish = await device.signIn('e30.e30.c2ln');
    assert.equal(rubbish.status, 429);
    assert.equal(rubbish.body['error'], 'temporarily_unavailable');
    for (const path of ['/livez', '/readyz']) assert.equal((await broker.call(null, 'GET', path)).status, 200, path);
    const keys = await Promise.all(
      Array.from({ length: 60 }, () => broker.call(null, 'GET', '/.well-known/jwks.json')),
    );
    const answered = keys.map(({ status }) => status);
    assert.equal(count(answered, 200), 60, 'or a stranger at a site could shut all of its doors');
  });

  const from = async (broker: TestBroker, forwarded: readonly (readonly [string, string])[]): Promise<number> =>
    (await say(broker.brokers[0]!.url, callText('GET', '/v1/me', forwarded))).answers[0]!.status;

  test('by the address that it really has: `X-Forwarded-For` of a stranger counts for nothing', async () => {
    const broker = await brokerWith({
      rateLimits: { person: lax, device: lax, address: { perSecond: 0.01, burst: 50 } },
    });
    const got: number[] = [];
    for (let call = 0; call < 60; call++) {
      const invented = `198.51.100.${call}`;
      got.push(
        await from(broker, [
          ['X-Forwarded-For', invented],
          ['X-Real-IP', invented],
          ['Forwarded', `for=${invented}`],
        ]),
      );
    }
    assert.ok(count(got, 429) >= 10, JSON.stringify(got));
  });

  test('by the address that a trusted proxy saw, and never by one that a caller invented', async () => {
    const broker = await brokerWith({
      trustedProxies: ['127.0.0.1'],
      rateLimits: { person: lax, device: lax, address: { perSecond: 0.01, burst: 5 } },
    });
    // What the proxy saw stands last; before it stands whatever the caller sent.
    const got: number[] = [];
    for (let call = 0; call < 8; call++)
      got.push(await from(broker, [['X-Forwarded-For', `10.9.9.${call}, 203.0.113.7`]]));
    assert.deepEqual(got, [401, 401, 401, 401, 401, 429, 429, 429]);
    assert.equal(await from(broker, [['X-Forwarded-For', '203.0.113.8']]), 401, 'another caller of the same proxy');
    const sixth: number[] = [];
    for (let call = 0; call < 8; call++)
      sixth.push(await from(broker, [['X-Forwarded-For', `2001:db8:1:2:${call}::1`]]));
    assert.deepEqual(sixth, [401, 401, 401, 401, 401, 429, 429, 429], 'one network of IPv6 is one caller');
    assert.equal(await from(broker, [['X-Forwarded-For', '2001:db8:1:3::1']]), 401);
  });
});
