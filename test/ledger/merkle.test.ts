import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { leafHash, nodeHash, rootOfLeaves } from '../../src/ledger/merkle.ts';
import { consistencyProof, inclusionProof, nodesOfLeaves, treeRoot } from '../../src/ledger/merkle-proof.ts';
import { verifyConsistency, verifyInclusion } from '../../src/ledger/merkle-verify.ts';
import { naiveTree, publishedEntries, publishedRoots } from '../support/naive-tree.ts';

const sizes = 300;
const entries = Array.from({ length: sizes }, (_, i) => Buffer.from(`entry ${i}`));
const leaves = entries.map(leafHash);
const naive = naiveTree(entries);
const nodes = nodesOfLeaves(leaves);

test('roots over the published leaves are the published ones', async () => {
  const hashes = publishedEntries.map(leafHash);
  for (const [size, root] of publishedRoots.entries()) {
    assert.deepEqual(rootOfLeaves(hashes.slice(0, size)), root);
    assert.deepEqual(await treeRoot(size, nodesOfLeaves(hashes)), root);
  }
});

test('roots of 0 to 300 leaves are those of the recursive definition', async () => {
  for (let size = 0; size <= sizes; size++) {
    assert.deepEqual(rootOfLeaves(leaves.slice(0, size)), naive.root(size));
    assert.deepEqual(await treeRoot(size, nodes), naive.root(size));
  }
});

test('every inclusion proof up to 300 leaves is that of the recursive definition, and verifies', async () => {
  for (let size = 1; size <= sizes; size++) {
    const root = naive.root(size);
    for (let index = 0; index < size; index++) {
      const proof = await inclusionProof(index, size, nodes);
      assert.ok(equal(proof, naive.inclusion(index, size)), `${index} of ${size}`);
      assert.deepEqual(verifyInclusion({ index, size, leafHash: leaves[index]!, proof, root }), { ok: true });
    }
  }
});

test('every consistency proof up to 300 leaves is that of the recursive definition, and verifies', async () => {
  for (let to = 1; to <= sizes; to++) {
    const later = { size: to, root: naive.root(to) };
    for (let from = 1; from <= to; from++) {
      const proof = await consistencyProof(from, to, nodes);
      assert.ok(equal(proof, naive.consistency(from, to)), `${from} to ${to}`);
      const earlier = { size: from, root: naive.root(from) };
      assert.deepEqual(verifyConsistency({ from: earlier, to: later, proof }), { ok: true });
    }
  }
});

/** All leaves alike, so that every node of a level is alike and trees of any size can be read. */
const levels = [leafHash(Buffer.from('alike'))];
for (let level = 1; level <= 53; level++) levels.push(nodeHash(levels[level - 1]!, levels[level - 1]!));
const readAlike = (level: number) => levels[level]!;

const anySize = fc
  .oneof(
    fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    fc.tuple(fc.integer({ min: 0, max: 52 }), fc.integer({ min: -1, max: 1 })).map(([power, by]) => 2 ** power + by),
  )
  .filter((size) => size > 0);

test('proofs hold in trees of any size up to 2^53 - 1', async () => {
  await fc.assert(
    fc.asyncProperty(anySize, anySize, async (a, b) => {
      const [from, to] = a < b ? [a, b] : [b, a];
      const [early, late] = [await treeRoot(from, readAlike), await treeRoot(to, readAlike)];
      const inclusion = await inclusionProof(from - 1, to, readAlike);
      assert.ok(verifyInclusion({ index: from - 1, size: to, leafHash: levels[0]!, proof: inclusion, root: late }).ok);
      const proof = await consistencyProof(from, to, readAlike);
      assert.ok(proof.length <= 54);
      assert.ok(verifyConsistency({ from: { size: from, root: early }, to: { size: to, root: late }, proof }).ok);
    }),
    { numRuns: 500 },
  );
});

test('no proof is made of what is not there', async () => {
  for (const [index, size] of [
    [0, 0],
    [8, 8],
    [-1, 8],
    [0.5, 8],
    [0, 2 ** 53],
  ] as const) {
    await assert.rejects(() => inclusionProof(index, size, nodes), RangeError);
  }
  for (const [from, to] of [
    [0, 8],
    [0, 0],
    [9, 8],
    [-1, 8],
    [1, Number.NaN],
  ] as const) {
    await assert.rejects(() => consistencyProof(from, to, nodes), RangeError);
  }
});

test('a node is not hashed over anything but two hashes', () => {
  assert.throws(() => nodeHash(Buffer.alloc(31), Buffer.alloc(32)), RangeError);
  assert.throws(() => nodeHash(Buffer.alloc(32), Buffer.alloc(33)), RangeError);
});

function equal(proof: readonly Uint8Array[], expected: readonly Uint8Array[]): boolean {
  return Buffer.concat(proof).equals(Buffer.concat(expected));
}
