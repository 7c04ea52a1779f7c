import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gather } from '../../src/broker/gather.ts';

describe('what is gathered', () => {
  test('is done together: one round at a time, each with all that came in meanwhile, and nothing twice', async () => {
    const rounds: (readonly number[])[] = [];
    const gathered = gather<number>(
      3,
      async (items) => {
        rounds.push(items);
        await sleep(20);
      },
      (error) => assert.fail(String(error)),
    );
    gathered.add([1]);
    gathered.add([2, 3]);
    gathered.add([3, 4, 5, 6]);
    await sleep(120);
    assert.deepEqual(rounds, [[1], [2, 3, 4], [5, 6]]);
  });

  test('is tried again after a failure, with what came in since, and its failure is told', async () => {
    const rounds: (readonly number[])[] = [];
    const failures: unknown[] = [];
    const gathered = gather<number>(
      10,
      async (items) => {
        rounds.push(items.toSorted((a, b) => a - b));
        if (rounds.length === 1) throw new Error('not now');
      },
      (error) => failures.push(error),
    );
    gathered.add([1, 2]);
    await sleep(50);
    gathered.add([3]);
    assert.equal(rounds.length, 1, 'a database that fails is not asked at once');
    await sleep(700);
    assert.deepEqual(rounds.slice(1), [[1, 2, 3]]);
    assert.match(String(failures), /not now/);
  });

  test('is left once it is closed', async () => {
    let rounds = 0;
    const gathered = gather<number>(
      1,
      async () => {
        rounds += 1;
        await sleep(20);
      },
      () => {},
    );
    gathered.add([1, 2, 3]);
    gathered.close();
    gathered.add([4]);
    await sleep(100);
    assert.equal(rounds, 1);
  });
});
