import { emptyRoot, isTreeSize, nodeHash } from './merkle.ts';

/**
 * Gives the hash of a perfect subtree: the one over the leaves `index * 2^level` up to `(index + 1) * 2^level`, the
 * last not included. It is only asked for subtrees that lie wholly within the tree.
 */
export type NodeReader = (level: number, index: number) => Uint8Array | Promise<Uint8Array>;

/** Leaves from `begin` to `end`, the last not included. */
type Range = readonly [begin: number, end: number];

/** Serves every node over the hashes of leaves held in memory. */
export function nodesOfLeaves(leaves: readonly Uint8Array[]): (level: number, index: number) => Uint8Array {
  const rows = [leaves];
  for (let row = leaves; row.length > 1;) {
    const above = Array.from({ length: Math.floor(row.length / 2) }, (_, i) => nodeHash(row[2 * i]!, row[2 * i + 1]!));
    rows.push(above);
    row = above;
  }
  return (level, index) => {
    const node = rows[level]?.[index];
    if (!node) throw new RangeError(`the tree has no node ${index} at level ${level}`);
    return node;
  };
}

/** The root of the first `size` leaves (RFC 6962 §2.1). */
export async function treeRoot(size: number, read: NodeReader): Promise<Uint8Array> {
  requireSize(size);
  return size === 0 ? emptyRoot : rangeHash([0, size], read);
}

/**
 * The proof that the leaf at `index` is in the tree of the first `size` leaves: PATH of RFC 6962 §2.1.1, from the
 * leaf's sibling up.
 * @throws RangeError when there is no such leaf.
 */
export async function inclusionProof(index: number, size: number, read: NodeReader): Promise<Uint8Array[]> {
  requireSize(size);
  if (!isTreeSize(index) || index >= size) throw new RangeError(`a tree of ${size} has no leaf ${index}`);
  const siblings: Range[] = [];
  let [begin, end] = [0, size];
  while (end - begin > 1) {
    const middle = begin + splitOf(end - begin);
    if (index < middle) {
      siblings.push([middle, end]);
      end = middle;
    } else {
      siblings.push([begin, middle]);
      begin = middle;
    }
  }
  return readRanges(siblings.toReversed(), read);
}

/**
 * The proof that the tree of the first `from` leaves is a beginning of the one of the first `to`: PROOF of RFC 6962
 * §2.1.2. Empty when both are of one size.
 * @throws RangeError when `from` is zero (there is nothing to be consistent with) or more than `to`.
 */
export async function consistencyProof(from: number, to: number, read: NodeReader): Promise<Uint8Array[]> {
  requireSize(to);
  if (!isTreeSize(from) || from === 0 || from > to) {
    throw new RangeError(`no consistency proof leads from ${from} to ${to}`);
  }
  const parts: Range[] = [];
  let [begin, end] = [0, to];
  while (from !== end) {
    const middle = begin + splitOf(end - begin);
    if (from <= middle) {
      parts.push([middle, end]);
      end = middle;
    } else {
      parts.push([begin, middle]);
      begin = middle;
    }
  }
  // The smaller tree's own root is known to whoever asks.
  if (begin > 0) parts.push([begin, end]);
  return readRanges(parts.toReversed(), read);
}

function requireSize(size: number): void {
  if (!isTreeSize(size)) throw new RangeError(`no tree has the size ${size}`);
}

/** The largest power of two below `count`, which is at least 2. */
function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

function readRanges(ranges: readonly Range[], read: NodeReader): Promise<Uint8Array[]> {
  return Promise.all(ranges.map((range) => rangeHash(range, read)));
}

/** The hash over a range as proofs have them: it begins at a multiple of the largest power of two in its length. */
async function rangeHash([begin, end]: Range, read: NodeReader): Promise<Uint8Array> {
  const nodes = await Promise.all(perfectSubtrees(begin, end).map(async ([level, index]) => read(level, index)));
  return nodes.reduceRight((right, left) => nodeHash(left, right));
}

function perfectSubtrees(begin: number, end: number): [level: number, index: number][] {
  const nodes: [number, number][] = [];
  for (let at = begin; at < end;) {
    let [level, width] = [0, 1];
    while (at + width * 2 <= end) [level, width] = [level + 1, width * 2];
    nodes.push([level, at / width]);
    at += width;
  }
  return nodes;
}
