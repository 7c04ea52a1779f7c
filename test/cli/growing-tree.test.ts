import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { growInThread, growTree, type GrowingTree } from '../../src/cli/ledger/growing-tree.ts';
import { AuditedTree, firstDifference, type MadeTile } from '../../src/ledger/audit-tree.ts';
import { leafHash, rootOfLeaves } from '../../src/ledger/merkle.ts';

const entriesOf = (count: number): Buffer[] => Array.from({ length: count }, (_, at) => Buffer.from(`entry ${at}`));

test('a tree that is computed anew has the tiles and the root of its entries', () => {
  const tree = new AuditedTree();
  const entries = entriesOf(300);
  const hashes = entries.map(leafHash);
  tree.append(entries);
  const [full, ...more] = tree.takeTiles();
  assert.deepEqual(full!.hashes, Buffer.concat(hashes.slice(0, 256)));
  assert.deepEqual(more, []);
  assert.deepEqual(tree.takeTiles(), [], 'each is taken once');
  const [edge, above] = tree.edgeTiles();
  assert.deepEqual(edge!.hashes, Buffer.concat(hashes.slice(256)));
  assert.deepEqual(above!.hashes, rootOfLeaves(hashes.slice(0, 256)));
  assert.deepEqual(tree.root(), rootOfLeaves(hashes));
});

test('the first entry that a served tile does not cover is named', () => {
  const hashes = entriesOf(9).map(leafHash);
  const tile: MadeTile = { level: 0, index: 0, hashes: Buffer.concat(hashes) };
  assert.equal(firstDifference(tile, Buffer.concat(hashes)), null);
  assert.equal(firstDifference(tile, Buffer.concat(hashes.with(4, hashes[0]!))), 4);
  assert.equal(firstDifference(tile, Buffer.concat(hashes.slice(0, 6))), 6);
  assert.equal(firstDifference(tile, null), 0);
});

test('a thread makes of any batches what is made here', async () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(sizes, async (batches) => {
      const trees = [growInThread(), growTree(0)];
      const [there, here] = await Promise.all(trees.map((tree) => grow(tree, batches)));
      assert.deepEqual(there, here);
      await Promise.all(trees.map((tree) => tree.close()));
    }),
    { numRuns: 5 },
  );
});

/** All at once, as whoever does not wait for one answer before the next call. */
async function grow(tree: GrowingTree, batches: readonly number[]): Promise<unknown> {
  const entries = entriesOf(batches.reduce((sum, size) => sum + size, 0));
  let at = 0;
  const answers = batches.map((size) => tree.append(entries.slice(at, (at += size))));
  const grown = [...(await Promise.all(answers)), { tiles: await tree.edgeTiles(), root: [] }];
  return grown.map(({ tiles, root }) => ({
    root: Buffer.from(root).toString('hex'),
    tiles: tiles.map((tile) => ({ ...tile, hashes: Buffer.from(tile.hashes).toString('hex') })),
  }));
}

test('what a thread that has ended is asked for fails', async () => {
  const tree = growInThread();
  const asked = tree.append(entriesOf(1));
  await tree.close();
  await assert.rejects(Promise.all([asked, tree.append(entriesOf(1))]), /the thread that hashes has ended/);
});
