import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { randomBytes } from '../../src/domain/random.ts';

test('random bytes are as many as asked for, and each is handed out once', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.integer({ min: 12, max: 64 }), (length) => {
      const bytes = randomBytes(length);
      assert.equal(bytes.length, length);
      // Twelve bytes that come again by chance do so once in 2^70 of these runs; those of one pool would overlap.
      for (let at = 0; at + 12 <= length; at++) {
        const piece = bytes.toString('hex', at, at + 12);
        assert.ok(!seen.has(piece), 'bytes came again');
        seen.add(piece);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('what was handed out does not change with what comes after', () => {
  const first = randomBytes(16);
  const copy = Buffer.from(first);
  for (let count = 0; count < 1_000; count++) randomBytes(16);
  assert.deepEqual(first, copy);
});

test('more at once than are kept is refused', () => {
  assert.equal(randomBytes(4_096).length, 4_096);
  assert.throws(() => randomBytes(4_097), RangeError);
});
