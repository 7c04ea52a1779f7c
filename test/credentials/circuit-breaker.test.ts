import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createCircuitBreaker, type CircuitBreaker } from '../../src/credentials/circuit-breaker.ts';

class Away extends Error {}
class Refused extends Error {}

interface Bench {
  readonly breaker: CircuitBreaker;
  readonly changes: string[];
  now: number;
  fail(): Promise<void>;
  succeed(): Promise<void>;
}

function newBench(random = 0.5): Bench {
  const changes: string[] = [];
  const bench: Bench = {
    changes,
    now: 0,
    breaker: createCircuitBreaker({
      failures: 3,
      firstPause: 1_000,
      longestPause: 30_000,
      isFailure: (error) => error instanceof Away,
      refuse: (wait) => new Refused(String(wait)),
      onChange: ({ circuit }) => void changes.push(circuit),
      now: () => bench.now,
      random: () => random,
    }),
    fail: () => assert.rejects(bench.breaker.run(async () => Promise.reject(new Away()))),
    succeed: async () => assert.equal(await bench.breaker.run(async () => 'done'), 'done'),
  };
  return bench;
}

describe('a circuit breaker', () => {
  test('opens after three failures in a row, not before, and asks nothing then', async () => {
    const bench = newBench();
    await bench.fail();
    await bench.fail();
    await bench.succeed();
    await bench.fail();
    await bench.fail();
    assert.equal(bench.breaker.health().circuit, 'closed');
    assert.notEqual(bench.breaker.health().awaySince, null, 'it says so all the same');
    await bench.fail();
    assert.equal(bench.breaker.health().circuit, 'open');
    let asked = false;
    await assert.rejects(
      bench.breaker.run(async () => {
        asked = true;
      }),
      Refused,
    );
    assert.equal(asked, false);
    assert.deepEqual(bench.changes, ['open']);
  });

  test('lets one call try again after a pause, and no other beside it', async () => {
    const bench = newBench();
    for (let i = 0; i < 3; i++) await bench.fail();
    bench.now = 999;
    await assert.rejects(
      bench.breaker.run(async () => {}),
      Refused,
    );
    bench.now = 1_000;
    let finish: () => void = () => {};
    const trial = bench.breaker.run(() => new Promise<void>((resolve) => (finish = resolve)));
    assert.equal(bench.breaker.health().circuit, 'half-open');
    await assert.rejects(
      bench.breaker.run(async () => {}),
      Refused,
    );
    finish();
    await trial;
    assert.deepEqual(bench.breaker.health(), { circuit: 'closed', awaySince: null });
    assert.deepEqual(bench.changes, ['open', 'half-open', 'closed']);
    await bench.succeed();
  });

  test('waits twice as long after each failed trial, up to the longest, and begins anew once it has worked', async () => {
    const bench = newBench();
    for (let i = 0; i < 3; i++) await bench.fail();
    const since = bench.breaker.health().awaySince;
    for (const pause of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      bench.now += pause - 1;
      await assert.rejects(
        bench.breaker.run(async () => {}),
        Refused,
        `before ${pause}`,
      );
      bench.now += 1;
      await bench.fail();
      assert.equal(bench.breaker.health().circuit, 'open');
    }
    assert.deepEqual(bench.breaker.health().awaySince, since);
    bench.now += 30_000;
    await bench.succeed();
    for (let i = 0; i < 3; i++) await bench.fail();
    bench.now += 1_000;
    await bench.succeed();
  });

  test('does not come back in step with others: its pauses differ by up to a half', async () => {
    for (const [random, pause] of [
      [0, 750],
      [1, 1_250],
    ] as const) {
      const bench = newBench(random);
      for (let i = 0; i < 3; i++) await bench.fail();
      bench.now = pause - 1;
      await assert.rejects(
        bench.breaker.run(async () => {}),
        Refused,
      );
      bench.now = pause;
      await bench.succeed();
    }
  });

  test('takes an answer that is no for an answer', async () => {
    const bench = newBench();
    for (let i = 0; i < 5; i++) {
      await assert.rejects(
        bench.breaker.run(async () => Promise.reject(new Error('not found'))),
        /not found/,
      );
    }
    assert.equal(bench.breaker.health().circuit, 'closed');
  });

  test('is not kept open by calls that were on their way when it opened', async () => {
    const bench = newBench();
    const stragglers = Array.from({ length: 20 }, () => bench.fail());
    await Promise.all(stragglers);
    assert.equal(bench.breaker.health().circuit, 'open');
    bench.now = 1_000;
    await bench.succeed();
  });
});
