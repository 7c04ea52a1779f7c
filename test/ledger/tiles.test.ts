import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CompactRange } from '../../src/ledger/compact-range.ts';
import { leafHash } from '../../src/ledger/merkle.ts';
import { consistencyProof, inclusionProof, nodesOfLeaves, treeRoot } from '../../src/ledger/merkle-proof.ts';
import { growTiles } from '../../src/ledger/tile-growth.ts';
import { nodesOfTiles, type TileReader } from '../../src/ledger/tile-reader.ts';
import {
  changedTiles,
  formatEntryBundle,
  formatHashTile,
  parseEntryBundle,
  parseHashTile,
  parseTilePath,
  tilePath,
  widthOf,
} from '../../src/ledger/tiles.ts';

const paths: [path: string, level: number | 'entries', index: number, width: number][] = [
  ['tile/0/000', 0, 0, 256],
  ['tile/0/255.p/1', 0, 255, 1],
  ['tile/1/x001/000', 1, 1_000, 256],
  ['tile/63/x001/x234/067', 63, 1_234_067, 256],
  ['tile/2/x001/x234/067.p/8', 2, 1_234_067, 8],
  ['tile/entries/x001/x234/067.p/255', 'entries', 1_234_067, 255],
  ['tile/entries/x009/x007/x199/x254/x740/991', 'entries', Number.MAX_SAFE_INTEGER, 256],
];

test('a tile has the path that tlog-tiles gives it, and the path leads back', () => {
  for (const [path, level, index, width] of paths) {
    assert.equal(tilePath({ level, index, width }), path);
    assert.deepEqual(parseTilePath(path), { level, index, width });
  }
});

test('a path that is written in any other way names no tile', () => {
  const others = [
    '',
    'tile/0/0',
    'tile/0/00',
    'tile/0/0000',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/x/000',
    'tile/0/x000/000',
    'tile/0/001/000',
    'tile/0/x001',
    'tile/0/x001/x000',
    'tile/0/x01/000',
    'tile/0/000.p/0',
    'tile/0/000.p/00',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/999',
    'tile/0/000.p/',
    'tile/0/000.p',
    'tile/0/000/',
    'tile/0/000\n',
    '/tile/0/000',
    'tile/0/../000',
    'tile/data/000',
    'tile/entries/x009/x007/x199/x254/x740/992',
    'tile/0/x001/x000/x000/x000/x000/x000/000',
  ];
  for (const path of others) assert.equal(parseTilePath(path), null, path);
});

test('a tree of 70,000 has the tiles of the example of tlog-tiles', () => {
  const tiles = changedTiles(0, 70_000);
  const partial = tiles.filter(({ width }) => width < 256);
  assert.equal(tiles.filter(({ level, width }) => level === 0 && width === 256).length, 273);
  assert.deepEqual(partial, [
    { level: 0, index: 273, width: 112 },
    { level: 1, index: 1, width: 17 },
    { level: 2, index: 0, width: 1 },
  ]);
  assert.equal(tiles.filter(({ level, width }) => level === 1 && width === 256).length, 1);
  assert.deepEqual(changedTiles(255, 256), [
    { level: 0, index: 0, width: 256 },
    { level: 1, index: 0, width: 1 },
  ]);
  assert.deepEqual(changedTiles(256, 256), []);
  assert.deepEqual(changedTiles(0, 0), []);
  assert.equal(widthOf(0, 274, 70_000), 0);
});

const leaves = Array.from({ length: 66_200 }, (_, i) => leafHash(Buffer.from(`entry ${i}`)));
const nodes = nodesOfLeaves(leaves);

/** Tiles as a store would keep them: bytes that only get longer. */
class Shelf {
  readonly range = CompactRange.empty();
  readonly tiles = new Map<string, Buffer>();
  reads = 0;

  grow(to: number): void {
    const from = this.range.size;
    const grown = growTiles(this.range, leaves.slice(from, to));
    for (const { level, index, from, hashes } of grown) {
      const before = this.tiles.get(`${level}/${index}`) ?? Buffer.alloc(0);
      assert.equal(before.length, from * 32);
      this.tiles.set(`${level}/${index}`, Buffer.concat([before, hashes]));
    }
    assert.deepEqual(
      grown.map(({ level, index, from, hashes }) => ({ level, index, width: from + hashes.length / 32 })),
      changedTiles(from, to),
    );
  }

  readonly read: TileReader = ({ level, index }) => {
    this.reads += 1;
    return this.tiles.get(`${level}/${index}`)!;
  };
}

test('tiles that grow by batches of any size hold the nodes of the tree', async () => {
  const shelf = new Shelf();
  for (const size of [1, 2, 255, 256, 257, 511, 512, 513, 1_000, 65_535, 65_536, 65_537, 66_200]) {
    shelf.grow(size);
    assert.deepEqual(await treeRoot(size, nodesOfTiles(size, shelf.read)), await treeRoot(size, nodes));
  }
  for (const [key, bytes] of shelf.tiles) {
    const [level, index] = key.split('/').map(Number);
    for (const [i, hash] of parseHashTile(bytes, bytes.length / 32).entries()) {
      assert.deepEqual(Buffer.from(hash), Buffer.from(nodes(level! * 8, index! * 256 + i)), `${key} ${i}`);
    }
  }
});

test('proofs from tiles are those from leaves, for every tree that the tiles have outgrown', async () => {
  const shelf = new Shelf();
  shelf.grow(leaves.length);
  const pairs = fc.tuple(fc.integer({ min: 1, max: leaves.length }), fc.integer({ min: 1, max: leaves.length }));
  await fc.assert(
    fc.asyncProperty(pairs, async ([a, b]) => {
      const [from, to] = a < b ? [a, b] : [b, a];
      const read = nodesOfTiles(to, shelf.read);
      assert.deepEqual(await inclusionProof(from - 1, to, read), await inclusionProof(from - 1, to, nodes));
      assert.deepEqual(await consistencyProof(from, to, read), await consistencyProof(from, to, nodes));
    }),
    { numRuns: 60 },
  );
});

test('a reader fetches each tile once, and at most two a level for a proof', async () => {
  const shelf = new Shelf();
  shelf.grow(leaves.length);
  const read = nodesOfTiles(leaves.length, shelf.read);
  await inclusionProof(12_345, leaves.length, read);
  assert.ok(shelf.reads <= 6, `${shelf.reads}`);
  const before = shelf.reads;
  await inclusionProof(12_345, leaves.length, read);
  assert.equal(shelf.reads, before);
});

test('a reader refuses tiles that are too short, and nodes that the tree has not', async () => {
  const short = nodesOfTiles(300, ({ width }) => Buffer.alloc(width * 32 - 1));
  await assert.rejects(async () => short(0, 3), { name: 'Malformed' });
  const read = nodesOfTiles(300, ({ width }) => Buffer.alloc(width * 32));
  await assert.rejects(async () => read(0, 300), RangeError);
  await assert.rejects(async () => read(3, 37), RangeError);
  await assert.rejects(async () => read(9, 0), RangeError);
});

test('a tile of hashes has exactly the hashes it should have', () => {
  const tile = formatHashTile(leaves.slice(0, 256));
  assert.equal(tile.length, 8_192);
  assert.deepEqual(asBuffers(parseHashTile(tile, 256)), leaves.slice(0, 256));
  for (const [bytes, width] of [
    [tile, 255],
    [tile.subarray(1), 256],
    [Buffer.alloc(0), 1],
  ] as const) {
    assert.throws(() => parseHashTile(bytes, width), { name: 'Malformed' });
  }
});

test('a bundle of entries comes back as it was, and no other number of them', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 }), (entries) => {
      const bundle = formatEntryBundle(entries);
      const again = parseEntryBundle(bundle, entries.length);
      assert.deepEqual(asBuffers(again), asBuffers(entries));
      assert.throws(() => parseEntryBundle(bundle, entries.length + 1), { name: 'Malformed' });
      assert.throws(() => parseEntryBundle(bundle.subarray(0, -1), entries.length), { name: 'Malformed' });
      assert.throws(() => parseEntryBundle(Buffer.concat([bundle, Buffer.of(0)]), entries.length), {
        name: 'Malformed',
      });
    }),
    { numRuns: 50 },
  );
});

test('the longest entry fits a bundle, a longer one is refused', () => {
  const longest = Buffer.alloc(65_535, 1);
  const bundle = formatEntryBundle([longest]);
  assert.deepEqual([...bundle.subarray(0, 3)], [0xff, 0xff, 1]);
  assert.deepEqual(parseEntryBundle(bundle, 1), [longest]);
  assert.throws(() => formatEntryBundle([Buffer.alloc(65_536)]), RangeError);
});

function asBuffers(list: readonly Uint8Array[]): Buffer[] {
  return list.map((bytes) => Buffer.from(bytes));
}
