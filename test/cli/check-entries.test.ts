import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { EntriesCheck } from '../../src/cli/ledger/check-entries.ts';
import { newId } from '../../src/domain/ids.ts';
import { AuditedTree, firstDifference, type MadeTile } from '../../src/ledger/audit-tree.ts';
import { Offence } from '../../src/ledger/audit.ts';
import type { LedgerSource } from '../../src/ledger/audit-source.ts';
import { canonicalJson } from '../../src/ledger/canonical.ts';
import { leafHash, rootOfLeaves } from '../../src/ledger/merkle.ts';

/** Events of a type that nobody knows, of which nothing is known to be wrong. */
const eventOf = (more: object): Buffer => {
  const id = newId('event', 0);
  const at = '2026-03-01T09:00:00.000Z';
  const actor = { kind: 'broker', id: 'broker' };
  return Buffer.from(
    canonicalJson({ v: 1, id, type: 'weather.changed', at, region: 'EU', tenant: null, actor, ...more }),
  );
};
const entries = Array.from({ length: 600 }, (_, count) => eventOf({ count }));
const spoilt = entries.map((bytes) => Buffer.from(bytes.toString().replace('"type"', ' "type"')));
const wrong = eventOf({ at: 'noon' });

test('a tree that is computed anew has the tiles and the root of its entries', () => {
  const tree = new AuditedTree();
  const hashes = entries.slice(0, 300).map(leafHash);
  for (const bytes of entries.slice(0, 300)) tree.append(bytes);
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
  const hashes = entries.slice(0, 9).map(leafHash);
  const tile: MadeTile = { level: 0, index: 0, hashes: Buffer.concat(hashes) };
  assert.equal(firstDifference(tile, Buffer.concat(hashes)), null);
  assert.equal(firstDifference(tile, Buffer.concat(hashes.with(4, hashes[0]!))), 4);
  assert.equal(firstDifference(tile, Buffer.concat(hashes.slice(0, 6))), 6);
  assert.equal(firstDifference(tile, null), 0);
});

/** The tiles of those entries, each served after a while; one hash of them is another's. */
function sourceOf(all: readonly Buffer[], forged: number | null): LedgerSource {
  const tree = new AuditedTree();
  for (const bytes of all) tree.append(bytes);
  const tiles = [...tree.takeTiles(), ...tree.edgeTiles()];
  return {
    checkpoint: null,
    async *entries() {},
    async tile(level, index, width) {
      await sleep(5);
      const hashes = Buffer.from(tiles.find((tile) => tile.level === level && tile.index === index)!.hashes);
      if (forged !== null && level === 0 && Math.floor(forged / 256) === index) hashes[(forged % 256) * 32]! ^= 1;
      return hashes.subarray(0, width * 32);
    },
    async close() {},
  };
}

/** Takes all of the entries, and looks for what does not hold first. */
async function check(all: readonly Buffer[], forged: number | null = null): Promise<Offence | null> {
  const check = new EntriesCheck(sourceOf(all, forged));
  try {
    for (let at = 0; at < all.length; at += 300) await check.take(all.slice(at, at + 300));
    await check.compareEdge();
    assert.equal(check.finish().unknownTypes, all.length);
    return null;
  } catch (error) {
    assert.ok(error instanceof Offence, String(error));
    return await check.earliest(error);
  }
}

test('entries that hold are held to be so, and so is their root', async () => {
  assert.equal(await check(entries), null);
  const whole = new EntriesCheck(sourceOf(entries, null));
  await whole.take(entries);
  await whole.settle();
  const root = rootOfLeaves(entries.map(leafHash));
  assert.throws(() => whole.requireHead({ size: 600, root: leafHash(entries[0]!) }, 'it'), { exact: false, index: 0 });
  whole.requireHead({ size: 600, root }, 'the checkpoint');
  assert.throws(() => whole.requireHead({ size: 600, root: leafHash(entries[0]!) }, 'it'), {
    exact: false,
    index: 600,
  });
  assert.throws(() => whole.requireHead({ size: 601, root }, 'it'), { index: 600 });
});

for (const place of [3, 299, 300, 599]) {
  test(`what does not hold is found where it is, at ${place}, whatever comes after it`, async () => {
    const after = entries.map((bytes, index) => (index > place && index % 100 === 99 ? wrong : bytes));
    assert.equal((await check(after, place))?.index, place, 'another hash in a tile');
    const misshapen = await check(after.with(place, spoilt[place]!));
    assert.deepEqual([misshapen?.index, misshapen?.message], [place, 'the entry is not RFC 8785 canonical JSON']);
    const broken = await check(after.with(place, wrong));
    assert.deepEqual([broken?.index, /member `at`/.test(broken?.message ?? '')], [place, true]);
  });
}

test('what is canonical, though not at first sight, holds', async () => {
  assert.equal(await check(entries.with(7, eventOf({ name: 'Zoë', ratio: 0.5, text: 'a\n"b"' }))), null);
});
