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

const bounds = { atOnce: 2, mostWaiting: 3, invited: 10, longest: 4 };

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
    for (let caller = 0; caller < 60; caller++) waits.push(await told());
    assert.deepEqual(
      [1, 2, 3, 4].map((seconds) => waits.filter((wait) => wait === seconds).length),
      [1, 10, 10, 39],
      'ten a second are invited, and nobody waits longer than four',
    );
    now += 60_000;
    assert.equal(await told(), 1, 'an earlier crowd is forgotten');
    for (const number of [0, 1, 2, 3, 4]) {
      ends[number]!.resolve();
      await settled();
    }
    await Promise.all(inside);
  });
});
