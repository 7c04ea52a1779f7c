import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import { searchInbox } from '../../src/broker/inbox-search.ts';
import { eventOf } from '../../src/ledger/events.ts';
import { appendEvents } from '../../src/store/events.ts';
import { openPool } from '../../src/store/pool.ts';
import { inTransaction } from '../../src/store/transaction.ts';
import { newTestBroker } from '../support/broker.ts';

/** Ids of transactions, numbers in the inbox, and what of it can be seen: as in PostgreSQL, but with nothing else. */
class Inbox {
  #xact = 0;
  #seq = 0;
  readonly #running = new Set<number>();
  readonly #open = new Map<number, number[]>();
  readonly #waiting = new Set<number>();

  begin(): number {
    this.#running.add(++this.#xact);
    this.#open.set(this.#xact, []);
    return this.#xact;
  }
  file(xact: number): void {
    this.#open.get(xact)!.push(++this.#seq);
  }
  end(xact: number, commits: boolean): void {
    const seqs = this.#open.get(xact)!;
    this.#running.delete(xact);
    this.#open.delete(xact);
    if (!commits) return;
    for (const seq of seqs) this.#waiting.add(seq);
  }
  running(): number[] {
    return [...this.#running];
  }
  /** The sequencer's transaction begins. */
  lock(): { xact: number; oldest: number } {
    const xact = ++this.#xact;
    return { xact, oldest: Math.min(xact, ...this.#running) };
  }
  /** What waits beyond `after`, but no more than `most`, in order. */
  take(after: number, most: number): { last: number | null; full: boolean } {
    const taken = [...this.#waiting]
      .filter((seq) => seq > after)
      .sort((a, b) => a - b)
      .slice(0, most);
    for (const seq of taken) this.#waiting.delete(seq);
    return { last: taken.at(-1) ?? null, full: taken.length === most };
  }
  get least(): number {
    return Math.min(...this.#waiting);
  }
}

describe('searching the inbox', () => {
  test('begins after what is done with for good, and passes over nothing that waits, whatever runs beside', () => {
    const step = fc.record({
      what: fc.constantFrom('begin', 'file', 'file', 'commit', 'commit', 'roll back', 'lock', 'take', 'take'),
      which: fc.nat(),
      most: fc.integer({ min: 1, max: 6 }),
    });
    let furthest = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 100, maxLength: 300 }), (steps) => {
        const inbox = new Inbox();
        const search = searchInbox(() => 0);
        search.after();
        // Others go on between the lock and the search.
        let locked: ReturnType<Inbox['lock']> | null = null;
        for (const { what, which, most } of steps) {
          const running = inbox.running();
          const one = running[which % running.length];
          if (what === 'begin') inbox.begin();
          else if (what === 'lock') locked ??= inbox.lock();
          else if (what === 'take') {
            locked ??= inbox.lock();
            const after = search.after();
            assert.ok(inbox.least > after, `${inbox.least} waits, and it is searched after ${after}`);
            furthest = Math.max(furthest, after);
            search.made({ ...locked, ...inbox.take(after, most) });
            locked = null;
          } else if (one !== undefined && what === 'file') inbox.file(one);
          else if (one !== undefined) inbox.end(one, what === 'commit');
        }
      }),
      { numRuns: 1_000 },
    );
    assert.ok(furthest > 10, `it went no further than ${furthest}`);
  });

  test('follows what is taken while transactions come and go', () => {
    const inbox = new Inbox();
    const search = searchInbox(() => 0);
    search.after();
    for (let turn = 0; turn < 1_000; turn++) {
      const xact = inbox.begin();
      inbox.file(xact);
      inbox.end(xact, true);
      search.made({ ...inbox.lock(), ...inbox.take(search.after(), 10) });
    }
    assert.ok(search.after() > 990, `it is searched after ${search.after()}`);
  });

  test('begins at the start every ten seconds, and when told so', () => {
    let now = 0;
    const inbox = searchInbox(() => now);
    inbox.after();
    for (const xact of [2, 3, 4, 5]) inbox.made({ xact, oldest: xact, last: xact, full: false });
    assert.equal(inbox.after(), 3);
    inbox.searchAll();
    assert.deepEqual([inbox.after(), inbox.after()], [0, 3]);
    now = 10_000;
    assert.deepEqual([inbox.after(), inbox.after()], [0, 3]);
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
