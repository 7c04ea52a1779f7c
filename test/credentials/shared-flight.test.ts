import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSharedFlights } from '../../src/credentials/shared-flight.ts';

/** Something that is fetched, and answered when the test says so. */
function newSource(): { fetch: () => Promise<number>; answer(error?: Error): Promise<void>; readonly fetched: number } {
  const open: ((error?: Error) => void)[] = [];
  let fetched = 0;
  return {
    get fetched() {
      return fetched;
    },
    fetch: () =>
      new Promise((resolve, reject) => {
        const number = (fetched += 1);
        open.push((error) => (error ? reject(error) : resolve(number)));
      }),
    async answer(error) {
      open.shift()!(error);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe('a shared flight', () => {
  test('carries everyone who comes while another is in the air, on the next one', async () => {
    const source = newSource();
    const share = createSharedFlights<number>();
    const first = share('a', source.fetch);
    const others = Array.from({ length: 100 }, () => share('a', source.fetch));
    assert.equal(source.fetched, 1);
    await source.answer();
    assert.equal(await first, 1);
    assert.equal(source.fetched, 2, 'one more for all who waited');
    await source.answer();
    assert.deepEqual(new Set(await Promise.all(others)), new Set([2]), 'nobody gets an answer older than the question');
  });

  test('goes out for each name by itself', async () => {
    const source = newSource();
    const share = createSharedFlights<number>();
    void share('a', source.fetch);
    void share('b', source.fetch);
    assert.equal(source.fetched, 2);
  });

  test('that fails fails those on it alone', async () => {
    const source = newSource();
    const share = createSharedFlights<number>();
    const first = share('a', source.fetch);
    const second = share('a', source.fetch);
    const refused = assert.rejects(first, /away/);
    await source.answer(new Error('away'));
    await refused;
    await source.answer();
    assert.equal(await second, 2);
    const third = share('a', source.fetch);
    await source.answer();
    assert.equal(await third, 3, 'nothing is kept');
  });
});
