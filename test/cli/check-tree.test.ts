import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { TreeCheck } from '../../src/cli/ledger/check-tree.ts';
import { AuditedTree } from '../../src/ledger/audit-tree.ts';
import { Offence } from '../../src/ledger/audit.ts';
import type { LedgerSource } from '../../src/ledger/audit-source.ts';

const entries = Array.from({ length: 600 }, (_, at) => Buffer.from(`entry ${at}`));

/** The tiles of those entries, each served after a while; one hash of them is another's. */
function sourceOf(forged: number | null): LedgerSource {
  const tree = new AuditedTree();
  tree.append(entries);
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

async function check(forged: number | null): Promise<TreeCheck> {
  const tree = new TreeCheck(sourceOf(forged), entries.length);
  for (let at = 0; at < entries.length; at += 300) await tree.append(entries.slice(at, at + 300));
  return tree;
}

test('tiles and root that the entries make are held to be so', async () => {
  const tree = await check(null);
  await tree.finish();
  const whole = new AuditedTree();
  whole.append(entries);
  tree.requireHead({ size: 600, root: whole.root() }, 'the checkpoint');
  assert.throws(() => tree.requireHead({ size: 600, root: entries[0]! }, 'the checkpoint'), {
    exact: false,
    index: 600,
  });
  assert.throws(() => tree.requireHead({ size: 601, root: whole.root() }, 'the checkpoint'), { index: 600 });
});

for (const [where, forged] of [
  ['compared long ago', 3],
  ['still being compared', 299],
  ['on the edge', 599],
] as const) {
  test(`what does not hold in a tile that is ${where} is found before what comes after it`, async () => {
    const found = new Offence(600, 'an entry breaks a rule');
    const tree = await check(forged).catch((error: unknown) => error as Offence);
    const offence = tree instanceof Offence ? tree : await tree.earliest(found);
    assert.equal(offence.index, forged);
  });
}
