import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRounds } from '../../bench/rounds.ts';

/** Takes rounds of a hundred ticks each, of which the host withholds so many. */
async function takeRounds(rounds: number, withheld: readonly number[]) {
  const said: string[] = [];
  let times = { all: 0, withheld: 0 };
  const taken = openRounds({ rounds, progress: (message) => said.push(message) }, () => times);
  const results = await taken.take((round) => {
    times = { all: times.all + 100, withheld: times.withheld + withheld[round - 1]! };
    return Promise.resolve(round);
  });
  const measures = Object.fromEntries(taken.measures().map(({ name, value }) => [name, value]));
  return { results, said, measures };
}

test('rounds count in which the host gave its processors, and the others are measured again', async () => {
  const { results, said, measures } = await takeRounds(3, [0, 8, 2, 3, 1]);
  assert.deepEqual(results, [1, 5, 3]);
  assert.deepEqual(said, [
    'the host withheld 8.0 % of the processors: once more',
    'the host withheld 3.0 % of the processors: once more',
  ]);
  assert.deepEqual(measures, {
    'processors withheld by the host, at most': 2,
    'rounds set aside, since it withheld more': 2,
  });
});

test('a host that always withholds them does not keep a run from ending', async () => {
  const { results, measures } = await takeRounds(2, [9, 5, 7, 6]);
  assert.deepEqual(results, [2, 4]);
  assert.equal(measures['processors withheld by the host, at most'], 6);
});

test('where the system does not tell, every round counts', async () => {
  const taken = openRounds({ rounds: 2, progress: assert.fail }, () => null);
  assert.deepEqual(await taken.take((round) => Promise.resolve(round)), [1, 2]);
  assert.deepEqual(taken.measures(), []);
});
