import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CompactRange } from '../../src/ledger/compact-range.ts';
import { leafHash, rootOfLeaves } from '../../src/ledger/merkle.ts';
import { nodesOfLeaves } from '../../src/ledger/merkle-proof.ts';

const leaves = Array.from({ length: 600 }, (_, i) => leafHash(Buffer.from(`entry ${i}`)));

test('the root after each leaf is that of the whole tree', () => {
  const range = CompactRange.empty();
  assert.deepEqual(range.root(), rootOfLeaves([]));
  for (const [i, leaf] of leaves.entries()) {
    range.append(leaf);
    assert.equal(range.size, i + 1);
    assert.deepEqual(Buffer.from(range.root()), rootOfLeaves(leaves.slice(0, i + 1)));
  }
});

test('a range that was written down goes on as if it had not been', () => {
  fc.assert(
    fc.property(fc.nat(300), fc.nat(300), (before, after) => {
      const range = CompactRange.empty();
      for (const leaf of leaves.slice(0, before)) range.append(leaf);
      const again = CompactRange.from(range.size, range.toBytes());
      for (const leaf of leaves.slice(before, before + after)) again.append(leaf);
      assert.deepEqual(Buffer.from(again.root()), rootOfLeaves(leaves.slice(0, before + after)));
      assert.equal(range.size, before, 'the original has not grown');
    }),
    { numRuns: 30 },
  );
});

test('every node is told of once, when it is complete', () => {
  const nodes = nodesOfLeaves(leaves);
  const told = new Set<string>();
  const range = CompactRange.empty();
  for (const [i, leaf] of leaves.entries()) {
    range.append(leaf, (level, index, hash) => {
      assert.equal(Math.floor(i / 2 ** level), index);
      assert.deepEqual(Buffer.from(hash), Buffer.from(nodes(level, index)));
      assert.ok(!told.has(`${level}/${index}`));
      told.add(`${level}/${index}`);
    });
  }
  const expected = Array.from({ length: 10 }, (_, level) => Math.floor(leaves.length / 2 ** level));
  assert.equal(
    told.size,
    expected.reduce((a, b) => a + b),
  );
});

test('bytes that are no range of that size are refused', () => {
  for (const [size, length] of [
    [0, 32],
    [1, 0],
    [3, 32],
    [3, 65],
    [4, 64],
    [2 ** 40, 64],
    [-1, 0],
    [2 ** 53, 32],
    [1.5, 32],
  ] as const) {
    assert.throws(() => CompactRange.from(size, Buffer.alloc(length)), { name: 'Malformed' });
  }
  assert.equal(CompactRange.from(2 ** 52 + 1, Buffer.alloc(64)).size, 2 ** 52 + 1);
});

test('a written range does not change with the bytes it was read from', () => {
  const bytes = Buffer.alloc(32, 7);
  const range = CompactRange.from(1, bytes);
  bytes.fill(8);
  assert.deepEqual(Buffer.from(range.root()), Buffer.alloc(32, 7));
});
