import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { leafHash } from '../../src/ledger/merkle.ts';
import { verifyConsistency, verifyInclusion } from '../../src/ledger/merkle-verify.ts';
import { formatProofText, parseProofText } from '../../src/ledger/proof-text.ts';
import { fromHex, naiveTree, publishedEntries, publishedRoots } from '../support/naive-tree.ts';

const nodes = {
  l1: '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
  l0: '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  l4: 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
  l6: 'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f',
  l01: 'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  l23: '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
  l45: '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
  l67: 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
  l03: 'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  l47: '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
};
const hashes = (...names: (keyof typeof nodes)[]) => names.map((name) => fromHex(nodes[name]));

/** As published with the Go implementation of transparency.dev. */
const inclusions = [
  { index: 0, size: 1, proof: [] },
  { index: 0, size: 8, proof: hashes('l1', 'l23', 'l47') },
  { index: 5, size: 8, proof: hashes('l4', 'l67', 'l03') },
  { index: 2, size: 3, proof: hashes('l01') },
  { index: 1, size: 5, proof: hashes('l0', 'l23', 'l4') },
].map((given) => ({
  ...given,
  leafHash: leafHash(publishedEntries[given.index]!),
  root: publishedRoots[given.size]!,
}));

const consistencies = [
  { from: 1, to: 1, proof: [] },
  { from: 1, to: 8, proof: hashes('l1', 'l23', 'l47') },
  { from: 6, to: 8, proof: hashes('l45', 'l67', 'l03') },
  { from: 2, to: 5, proof: hashes('l23', 'l4') },
  { from: 6, to: 7, proof: hashes('l45', 'l6', 'l03') },
].map(({ from, to, proof }) => ({ from: tree(from), to: tree(to), proof }));

function tree(size: number) {
  return { size, root: publishedRoots[size]! };
}

const otherHash = fromHex('abacaba000000000000000000000000000000000000000000060061e00123456');

test('the published proofs verify', () => {
  for (const inclusion of inclusions) assert.deepEqual(verifyInclusion(inclusion), { ok: true });
  for (const consistency of consistencies) assert.deepEqual(verifyConsistency(consistency), { ok: true });
});

test('an inclusion proof with anything changed is refused', () => {
  for (const good of inclusions) {
    const { index, size, proof, root } = good;
    const changes = [
      ...[index - 1, index + 1, index ^ 2].map((index) => ({ index })),
      ...[size * 2, Math.floor(size / 2)].map((size) => ({ size })),
      ...[publishedRoots[0]!, otherHash, Buffer.alloc(0)].map((root) => ({ root })),
      ...[otherHash, Buffer.alloc(0), Buffer.from('WrongLeaf')].map((leafHash) => ({ leafHash })),
      ...changedProofs(proof, [root]).map((proof) => ({ proof })),
    ];
    for (const change of changes) assertRefused(verifyInclusion({ ...good, ...change }));
  }
});

test('a consistency proof with anything changed is refused', () => {
  for (const good of consistencies) {
    const { from, to, proof } = good;
    const sizes = from.size === to.size ? [from.size - 1] : [from.size - 1, from.size + 1, from.size ^ 2];
    const changes = [
      ...sizes.map((size) => ({ from: { ...from, size } })),
      ...[to.size * 2, Math.floor(to.size / 2)].map((size) => ({ to: { ...to, size } })),
      ...[otherHash, Buffer.alloc(0)].map((root) => ({ from: { ...from, root } })),
      ...[otherHash, Buffer.alloc(0)].map((root) => ({ to: { ...to, root } })),
      ...changedProofs(proof, [from.root, to.root]).map((proof) => ({ proof })),
      ...(proof.length > 0 ? [{ from: { ...from, root: to.root }, to: { ...to, root: from.root } }] : []),
    ];
    for (const change of changes) assertRefused(verifyConsistency({ ...good, ...change }));
  }
});

/** The proof shortened, lengthened at both ends, and with one bit of each hash turned. */
function changedProofs(proof: readonly Buffer[], roots: readonly Buffer[]): Buffer[][] {
  const added = [Buffer.alloc(0), otherHash, ...roots, ...proof.slice(0, 1)];
  return [
    ...added.flatMap((hash) => [
      [...proof, hash],
      [hash, ...proof],
    ]),
    ...proof.map((_, i) => proof.filter((_, at) => at !== i)),
    ...proof.map((hash, i) => proof.with(i, turnBit(hash, i))),
    ...proof.map((hash, i) => proof.with(i, hash.subarray(1))),
  ];
}

function turnBit(hash: Buffer, bit: number): Buffer {
  const turned = Buffer.from(hash);
  turned[bit >> 3]! ^= 1 << (bit & 7);
  return turned;
}

test('equal sizes need an empty proof and equal roots, and from nothing nothing is proved', () => {
  const [one, eight] = [tree(1), tree(8)];
  const refusals = [
    [{ from: tree(0), to: tree(0), proof: [] }, 'nothing is proved from an empty tree'],
    [{ from: tree(0), to: one, proof: [] }, 'nothing is proved from an empty tree'],
    [{ from: eight, to: one, proof: [] }, 'the tree shrank from 8 to 1'],
    [{ from: one, to: { ...one, root: otherHash }, proof: [] }, 'two roots of one size differ'],
    [{ from: one, to: one, proof: [otherHash] }, 'between equal sizes the consistency proof has to be empty'],
    [{ from: one, to: eight, proof: [] }, 'the consistency proof is empty'],
    [{ from: tree(3), to: eight, proof: [] }, 'the consistency proof is empty'],
    [{ from: one, to: { ...eight, size: 2 ** 53 }, proof: [] }, 'a size is not a number of leaves'],
  ] as const;
  for (const [consistency, reason] of refusals) {
    assert.deepEqual(verifyConsistency(consistency), { ok: false, reason });
  }
});

test('each way in which an inclusion proof fails has its reason', () => {
  const [, good] = inclusions;
  const refusals = [
    [{ index: 8 }, 'a tree of 8 has no leaf 8'],
    [{ index: -1 }, 'the index or the size is not a number of leaves'],
    [{ size: 2 ** 53 }, 'the index or the size is not a number of leaves'],
    [{ root: Buffer.alloc(31) }, 'a hash is not 32 bytes long'],
    [{ proof: hashes('l1', 'l23') }, 'the inclusion proof is too short'],
    [{ proof: hashes('l1', 'l23', 'l47', 'l47') }, 'the inclusion proof is too long'],
    [{ proof: hashes('l1', 'l47', 'l23') }, 'the inclusion proof leads to another root'],
  ] as const;
  for (const [change, reason] of refusals) {
    assert.deepEqual(verifyInclusion({ ...good!, ...change }), { ok: false, reason });
  }
});

test('an inclusion proof verifies for its own leaf alone', () => {
  const entries = Array.from({ length: 40 }, (_, i) => Buffer.from([i]));
  const naive = naiveTree(entries);
  fc.assert(
    fc.property(fc.nat(39), fc.nat(39), fc.integer({ min: 1, max: 40 }), (index, claimed, size) => {
      fc.pre(index < size && claimed !== index);
      const proof = naive.inclusion(index, size);
      const asked = { index: claimed, size, leafHash: leafHash(entries[index]!), proof, root: naive.root(size) };
      assertRefused(verifyInclusion(asked));
    }),
  );
});

const checkpoint = 'example.com/log\n8\nXcnaeacGWamtVZy3Ad7ZoquduCOq0vSWDP43Dv9GBDKA==\n\n— example.com/log AAAA\n';

test('a proof as text comes back as it was', () => {
  const bytes = fc.uint8Array({ maxLength: 100 });
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const proofs = fc.record({
    extra: fc.option(bytes),
    index: fc.maxSafeNat(),
    hashes: fc.array(hash, { maxLength: 53 }),
    checkpoint: fc.constant(checkpoint),
  });
  fc.assert(
    fc.property(proofs, (proof) => {
      const text = formatProofText(proof);
      assert.equal(formatProofText(parseProofText(text)), text);
      assert.equal(parseProofText(text).extra === null, proof.extra === null);
    }),
  );
});

test('the example of the tlog-proof specification is taken apart', () => {
  const text = [
    'c2sp.org/tlog-proof@v1',
    'index 73894',
    'gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=',
    'B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=',
    'EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=',
    '',
    checkpoint,
  ].join('\n');
  const { extra, index, hashes, checkpoint: rest } = parseProofText(text);
  assert.equal(extra, null);
  assert.equal(index, 73_894);
  assert.equal(hashes.length, 3);
  assert.equal(rest, checkpoint);
});

test('a text that is no proof is refused with its reason', () => {
  const hash = Buffer.alloc(32).toString('base64');
  const first = 'c2sp.org/tlog-proof@v1';
  const refusals: [lines: string[], reason: RegExp][] = [
    [[], /first line/],
    [['c2sp.org/tlog-proof@v2', 'index 0'], /first line/],
    [[` ${first}`, 'index 0'], /first line/],
    [[first], /does not say its index/],
    [[first, 'extra AA==', 'extra AA==', 'index 0'], /does not say its index/],
    [[first, 'index 0', 'extra AA=='], /not base64/],
    [[first, 'extra AB==', 'index 0'], /not base64/],
    [[first, 'extra AA', 'index 0'], /not base64/],
    [[first, 'extra A-_=', 'index 0'], /not base64/],
    [[first, 'Index 0'], /does not say its index/],
    [[first, 'index 00'], /leading zeroes/],
    [[first, 'index -1'], /decimal number/],
    [[first, 'index 1e3'], /decimal number/],
    [[first, 'index  1'], /decimal number/],
    [[first, 'index '], /decimal number/],
    [[first, 'index 9007199254740992'], /larger than/],
    [[first, 'index 0', `${hash}\r`], /not base64/],
    [[first, 'index 0', Buffer.alloc(31).toString('base64')], /not 32 bytes/],
    [[first, 'index 0', ...Array<string>(54).fill(hash)], /more than 53/],
  ];
  for (const [lines, message] of refusals) {
    assert.throws(() => parseProofText(`${lines.join('\n')}\n\n${checkpoint}`), { name: 'Malformed', message });
  }
  assert.throws(() => parseProofText(`${first}\nindex 0\n`), { name: 'Malformed', message: /no empty line/ });
});

function assertRefused(verdict: { readonly ok: boolean }): void {
  assert.equal(verdict.ok, false);
}
