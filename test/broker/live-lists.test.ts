import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLiveLists, type LiveLists, type Subscriber } from '../../src/broker/live-lists.ts';
import type { DeviceId } from '../../src/domain/ids.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import type { TestDevice } from '../support/device.ts';
import { listedIn, openLiveStream } from '../support/live-stream.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';

let broker: TestBroker;
let proxy: Proxy;
before(async () => {
  broker = await newTestBroker({
    async databaseUrl(url) {
      proxy = await startProxy(url);
      return proxy.url;
    },
  });
});
after(async () => {
  // The crowd was never enrolled by anyone: no event tells of it.
  await broker.sql.query(`DELETE FROM live_versions WHERE device IN (${crowdIds})`);
  await broker.sql.query(`DELETE FROM devices WHERE id IN (${crowdIds})`);
  await broker.checkLedger();
  await broker.stop();
  await proxy.stop();
});

const crowdSize = 1_200;
const crowdIds = `SELECT id FROM devices WHERE key_thumbprint LIKE 'crowd-%'`;

/** Enrolled devices without keys of their own: nobody calls in their name. */
async function crowd(): Promise<DeviceId[]> {
  const { rows } = await broker.sql.query<{ id: DeviceId }>(
    `INSERT INTO devices (id, tenant, name, public_key, key_thumbprint, enrolled_at)
     SELECT 'dev_' || lpad(n::text, 26, '0'), $1, 'room', '{}', 'crowd-' || n, now() FROM generate_series(1, $2::int) n
     RETURNING id`,
    [broker.contoso.id, crowdSize],
  );
  await broker.sql.query(
    `INSERT INTO live_versions (device, version, changed_at) SELECT id, 1, now() - interval '1 day' FROM devices
     ON CONFLICT DO NOTHING`,
  );
  return rows.map(({ id }) => id);
}

/** Counts what lists are read by queries, and how many devices each names. */
function countingReads(): { readonly lists: LiveLists; readonly reads: number[] } {
  const { context } = broker.brokers[0]!;
  const reads: number[] = [];
  const pool = new Proxy(context.pool, {
    get(target, name) {
      if (name !== 'query') return Reflect.get(target, name) as unknown;
      return (statement: { name?: string; values?: [DeviceId[]] }) => {
        if (statement.name === 'read-live-lists') reads.push(statement.values![0].length);
        return target.query(statement as never);
      };
    },
  });
  return { lists: createLiveLists({ ...context, pool }), reads };
}

describe('a crowd of connected devices', () => {
  test('hears at once, then a part of it every quarter of a second, from one query each time', async () => {
    const devices = await crowd();
    const { lists, reads } = countingReads();
    const heard: number[] = [];
    const start = performance.now();
    const gone = devices.map((device) =>
      lists.subscribe(device, { send: () => heard.push(performance.now() - start) > 0, drop: () => {} }),
    );
    try {
      await sleep(1_500);
      assert.ok(heard.length >= crowdSize, `${heard.length} statements`);
      assert.ok(reads.length <= 12, `${reads.length} queries for the first statements: ${reads.join(', ')}`);
      const before = { heard: heard.length, reads: reads.length };
      await sleep(4_500);
      const [statements, queries] = [heard.length - before.heard, reads.length - before.reads];
      const share = (crowdSize * 4.5) / 15;
      assert.ok(statements > share / 2 && statements < share * 1.5, `${statements} statements, not about ${share}`);
      assert.ok(queries <= 4.5 * 4 + 2, `${queries} queries`);
      const perSecond = Array.from({ length: 4 }, (_, second) => {
        const since = 2_000 + second * 1_000;
        return heard.filter((at) => at >= since && at < since + 1_000).length;
      });
      assert.ok(Math.max(...perSecond) < (crowdSize / 15) * 3, `in bursts: ${perSecond.join(', ')} a second`);
    } finally {
      for (const leave of gone) leave();
      lists.close();
    }
  });

  test('is sent elsewhere a few at a time when the broker stops, and told how soon to come back', async () => {
    const { rows } = await broker.sql.query<{ id: DeviceId }>('SELECT id FROM devices ORDER BY id LIMIT 600');
    const { lists } = countingReads();
    const dropped: { at: number; comeBackWithin: number | undefined }[] = [];
    for (const { id } of rows) {
      const subscriber: Subscriber = {
        send: () => true,
        drop: (comeBackWithin) => dropped.push({ at: performance.now(), comeBackWithin }),
      };
      lists.subscribe(id, subscriber);
    }
    const start = performance.now();
    await lists.drain();
    assert.throws(() => lists.requireOpen(), { code: 'unavailable', retryAfter: 1 });
    lists.close();
    assert.equal(dropped.length, 600);
    assert.ok(dropped.every(({ comeBackWithin }) => comeBackWithin! > 0));
    const first = dropped.filter(({ at }) => at - start < 100).length;
    assert.ok(first < 300, `${first} of them at once`);
    assert.ok(dropped.at(-1)!.at - start < 4_000);
  });

  test('leaves nothing behind when it is gone', async () => {
    const { lists, reads } = countingReads();
    const device = broker.contoso.devices[0]!.id;
    const drops: string[] = [];
    const leaveFirst = lists.subscribe(device, { send: () => true, drop: () => drops.push('first') });
    const leaveSecond = lists.subscribe(device, { send: () => true, drop: () => drops.push('second') });
    assert.deepEqual(drops, ['first'], 'one connection a device');
    // The first one’s end is noticed late, and must not take the second one’s place.
    leaveFirst();
    await sleep(100);
    const before = reads.length;
    lists.changed([device]);
    await sleep(200);
    assert.ok(reads.length > before, 'the second is still there');
    leaveSecond();
    const after = reads.length;
    lists.changed([device]);
    await sleep(400);
    assert.equal(reads.length, after);
    lists.close();
  });
});

/** Waits until the broker has noticed which of its connections are gone: what takes one before that is told 503. */
async function answersAgain(device: TestDevice): Promise<void> {
  while ((await device.call('GET', '/v1/agent/live-grants')).status !== 200) await sleep(20);
}

describe('a stream', () => {
  test('of a broker that cannot read its primary says nothing new, and all once it can again', async () => {
    const device = broker.contoso.devices[1]!;
    const stream = await openLiveStream(device, broker.brokers[0]!.url);
    await stream.next();
    proxy.setDown(true);
    try {
      let spoke = false;
      const next = stream.next().then((statement) => {
        spoke = true;
        return statement;
      });
      broker.brokers[0]!.context.hints.devicesChanged([device.id]);
      await sleep(1_500);
      assert.equal(spoke, false);
      proxy.setDown(false);
      // What could not be read is read again by itself, long before the next regular statement.
      assert.deepEqual(listedIn(await next), []);
    } finally {
      proxy.setDown(false);
      stream.close();
      await answersAgain(device);
    }
  });

  test('of a broker whose database takes no changes, as an old primary or a standby, says nothing new', async () => {
    const { name } = broker.database;
    const device = broker.contoso.devices[1]!;
    const stream = await openLiveStream(device, broker.brokers[0]!.url);
    await stream.next();
    let spoke = false;
    try {
      await broker.sql.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
      proxy.setDown(true);
      proxy.setDown(false);
      const next = stream.next().then(() => (spoke = true));
      broker.brokers[0]!.context.hints.devicesChanged([device.id]);
      await sleep(1_500);
      assert.equal(spoke, false);
      const once = await device.call('GET', '/v1/agent/live-grants');
      assert.equal(once.status, 503, 'nor does it when asked');
      await broker.sql.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
      proxy.setDown(true);
      proxy.setDown(false);
      await next;
    } finally {
      await broker.sql.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
      proxy.setDown(true);
      proxy.setDown(false);
      stream.close();
      await answersAgain(device);
    }
  });

  test('tells of a scheduled grant when it begins and when it ends, by the clock alone', async () => {
    const device = broker.contoso.devices[2]!;
    const stream = await openLiveStream(device, broker.brokers[0]!.url);
    try {
      const startsAt = new Date(Date.now() + 1_500).toISOString();
      const { body } = await broker.call('ada', 'POST', '/v1/requests', {
        profile: 'diagnose',
        devices: [device.id],
        duration: 'PT2S',
        reason: 'at the agreed time',
        startsAt,
      });
      assert.equal(body.grant.state, 'scheduled', JSON.stringify(body));
      await stream.until((statement) => listedIn(statement).includes(body.grant.id));
      const began = Date.now();
      await stream.until((statement) => !listedIn(statement).includes(body.grant.id));
      const ended = Date.now();
      assert.ok(began >= Date.parse(startsAt) && began < Date.parse(startsAt) + 6_000, `${began}`);
      assert.ok(ended - began < 9_000, 'not only with the next regular statement');
    } finally {
      stream.close();
    }
  });
});
