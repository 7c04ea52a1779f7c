import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LatchkeyError } from '../../src/domain/errors.ts';
import { createGate } from '../../src/http/gate.ts';

const settled = () => new Promise((later) => setImmediate(later));

/** Work that is over when the test says so. */
function work() {
  const begun: number[] = [];
  const ends: PromiseWithResolvers<void>[] = [];
  const nth = (number: number) => async (): Promise<number> => {
    begun.push(number);
    await (ends[number] = Promise.withResolvers<void>()).promise;
    return number;
  };
  return { begun, ends, nth };
}

const bounds = { atOnce: 2, longestWait: 1_000, mostWaiting: 3, latestInvitation: 4 };

describe('the gate for a fleet', () => {
  test('lets a few through at once, the others in the order in which they came', async () => {
    const gate = createGate(bounds);
    const { begun, ends, nth } = work();
    const passing = [0, 1, 2, 3, 4].map((number) => gate(nth(number)));
    await settled();
    assert.deepEqual(begun, [0, 1]);
    ends[1]!.resolve();
    await settled();
    assert.deepEqual(begun, [0, 1, 2]);
    for (const number of [0, 2, 3, 4]) {
      ends[number]!.resolve();
      await settled();
    }
    assert.deepEqual(await Promise.all(passing), [0, 1, 2, 3, 4]);
  });

  test('goes on after work that failed', async () => {
    const gate = createGate({ ...bounds, atOnce: 1 });
    const failing = gate(() => Promise.reject(new Error('it failed')));
    const next = gate(async () => 'done');
    await assert.rejects(failing, /it failed/);
    assert.equal(await next, 'done');
  });

  test('sends those away who would wait too long, each to a later moment than the one before, none too late', async () => {
    let now = 10_000;
    const gate = createGate(bounds, () => now);
    const { ends, nth } = work();
    const inside = [0, 1, 2, 3, 4].map((number) => gate(nth(number)));
    const told = async (): Promise<number> => {
      const refusal = await gate(nth(9)).then(
        () => assert.fail('it was let through'),
        (error: unknown) => error as LatchkeyError,
      );
      assert.equal(refusal.code, 'unavailable');
      return refusal.retryAfter!;
    };
    const waits: number[] = [];
    for (let caller = 0; caller < 800; caller++) waits.push(await told());
    assert.deepEqual(
      [1, 2, 3, 4].map((seconds) => waits.filter((wait) => wait === seconds).length),
      [1, 160, 160, 479],
      'as many a second are invited as there is room for, and nobody waits longer than four',
    );
    now += 60_000;
    assert.equal(await told(), 1, 'an earlier crowd is forgotten');
    for (const number of [0, 1, 2, 3, 4]) {
      ends[number]!.resolve();
      await settled();
    }
    await Promise.all(inside);
  });

  test('lets fewer wait the slower it goes, so that who waits still wants the answer', async () => {
    let now = 0;
    const gate = createGate({ ...bounds, atOnce: 1, mostWaiting: 1_000 }, () => now);
    const running: PromiseWithResolvers<void>[] = [];
    const admits = async (): Promise<boolean> => {
      let refused = false;
      const job = (): Promise<void> => {
        const end = Promise.withResolvers<void>();
        running.push(end);
        return end.promise;
      };
      gate(job).catch(() => (refused = true));
      await settled();
      return !refused;
    };
    const fill = async (): Promise<number> => {
      let admitted = 0;
      while (await admits()) admitted += 1;
      return admitted;
    };
    const finish = async (count: number, milliseconds: number): Promise<void> => {
      for (let done = 0; done < count; done++) {
        now += milliseconds;
        running.shift()!.resolve();
        await settled();
      }
    };
    const quick = await fill();
    assert.ok(quick > 150 && quick < 250, `${quick} for a second at five milliseconds each`);
    await finish(quick, 100);
    const slow = await fill();
    assert.ok(slow > 5 && slow < 16, `${slow} for a second at a hundred milliseconds each`);
    await finish(slow, 100);
  });

  test('does not begin what nobody waits for any more', async () => {
    const gate = createGate({ ...bounds, atOnce: 1 });
    const { begun, ends, nth } = work();
    const first = gate(nth(0));
    const gone = gate(nth(1), () => false);
    const last = gate(nth(2));
    await settled();
    ends[0]!.resolve();
    await assert.rejects(gone, { code: 'unavailable' });
    await settled();
    ends[2]!.resolve();
    assert.deepEqual(await Promise.all([first, last]), [0, 2]);
    assert.deepEqual(begun, [0, 2]);
  });
});
