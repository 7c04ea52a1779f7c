import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createReplayCache } from '../../src/agent/replay-cache.ts';

describe('a replay cache', () => {
  it('lets each key be used once until it has run out', () => {
    const cache = createReplayCache();
    assert.equal(cache.use('a', 0, 100), 'first');
    assert.equal(cache.use('a', 99, 200), 'again');
    assert.equal(cache.use('b', 99, 200), 'first');
    assert.deepEqual([cache.has('a', 99), cache.has('a', 100), cache.has('c', 0)], [true, false, false]);
    assert.equal(cache.use('a', 100, 200), 'first');
    assert.equal(cache.use('a', 101, 200), 'again');
  });

  it('takes nothing more when it is full, forgets nothing that counts, and has room again once something has run out', () => {
    const cache = createReplayCache(3);
    for (const key of ['a', 'b', 'c']) assert.equal(cache.use(key, 0, 100), 'first');
    assert.equal(cache.use('d', 50, 150), 'full');
    assert.equal(cache.use('a', 50, 150), 'again');
    assert.equal(cache.use('d', 100, 200), 'first');
  });
});
