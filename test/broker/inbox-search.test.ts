import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { searchInbox } from '../../src/broker/inbox-search.ts';
import { eventOf } from '../../src/ledger/events.ts';
import { appendEvents } from '../../src/store/events.ts';
import { openPool } from '../../src/store/pool.ts';
import { inTransaction } from '../../src/store/transaction.ts';
import { newTestBroker } from '../support/broker.ts';

describe('searching the inbox', () => {
  test('begins at the start once a second, and else after what had been taken a second and more before', () => {
    let now = 0;
    const inbox = searchInbox(() => now);
    const searches: [at: number, after: number][] = [];
    for (; now <= 3_000; now += 250) {
      searches.push([now, inbox.after()]);
      inbox.took(now + 1);
    }
    assert.deepEqual(searches, [
      [0, 0],
      [250, 0],
      [500, 0],
      [750, 0],
      [1_000, 0],
      [1_250, 0],
      [1_500, 0],
      [1_750, 0],
      [2_000, 0],
      [2_250, 751],
      [2_500, 751],
      [2_750, 751],
      [3_000, 0],
    ]);
  });

  test('begins at the start once more when told so, and does not come nearer to what was taken for that', () => {
    let now = 0;
    const inbox = searchInbox(() => now);
    for (; now <= 2_000; now += 1_000) {
      inbox.after();
      inbox.took(now + 1);
    }
    now = 2_500;
    inbox.searchAll();
    assert.deepEqual([inbox.after(), inbox.after()], [0, 1]);
  });

  test('never goes back for an event that is taken late', () => {
    const inbox = searchInbox(() => 0);
    inbox.took(20);
    inbox.took(3);
    assert.equal(inbox.taken, 20);
  });
});

test('an event whose transaction was open for seconds gets its position soon after the commit, while others go on', async () => {
  const broker = await newTestBroker();
  const rename = async (turn: number): Promise<void> => {
    const body = { name: `Fabrikam ${turn}`, region: 'EU' };
    assert.equal((await broker.call('olu', 'PUT', '/v1/tenants/fabrikam', body)).status, 200);
  };
  const about = { at: new Date(), region: 'EU', tenant: null, actor: { kind: 'broker', id: 'broker' } as const };
  const late = eventOf({ type: 'policy.loaded', policy: 'sha256:0' }, about);
  const pool = openPool({ url: broker.database.appUrl, size: 1 });
  await inTransaction(pool, async (tx) => {
    appendEvents(tx, [late], []);
    for (const until = performance.now() + 4_000; performance.now() < until; await sleep(20)) await rename(until);
  });
  await pool.end();
  const committed = performance.now();
  while (!(await broker.sql.query('SELECT FROM ledger_entries WHERE event = $1', [late.id])).rowCount) {
    assert.ok(performance.now() - committed < 2_000, 'it still waits for its position');
    await rename(committed);
  }
  await broker.stop();
});
