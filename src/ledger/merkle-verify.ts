import { isHash, isTreeSize, nodeHash, sameHash } from './merkle.ts';
import { fails, holds, type Verdict } from './verdict.ts';

/** That the leaf with this hash is at `index` of the tree with this size and root. */
export interface Inclusion {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/** Verifies an inclusion proof (RFC 9162 §2.1.3.2). Never throws. */
export function verifyInclusion({ index, size, leafHash, proof, root }: Inclusion): Verdict {
  if (!isTreeSize(size) || !isTreeSize(index)) return fails('the index or the size is not a number of leaves');
  if (index >= size) return fails(`a tree of ${size} has no leaf ${index}`);
  if (!isHash(leafHash) || !isHash(root) || !proof.every(isHash)) return fails('a hash is not 32 bytes long');
  let [node, last] = [index, size - 1];
  let hash = leafHash;
  for (const sibling of proof) {
    if (last === 0) return fails('the inclusion proof is too long');
    if (isRight(node) || node === last) {
      hash = nodeHash(sibling, hash);
      while (!isRight(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0) return fails('the inclusion proof is too short');
  return sameHash(hash, root) ? holds : fails('the inclusion proof leads to another root');
}

/** That the tree of `from` is a beginning of the tree of `to`. */
export interface Consistency {
  readonly from: { readonly size: number; readonly root: Uint8Array };
  readonly to: { readonly size: number; readonly root: Uint8Array };
  readonly proof: readonly Uint8Array[];
}

/**
 * Verifies a consistency proof (RFC 9162 §2.1.4.2). A proof from size zero says nothing, so it is refused; one between
 * equal sizes has to be empty and the roots equal. Never throws.
 */
export function verifyConsistency({ from, to, proof }: Consistency): Verdict {
  if (!isTreeSize(from.size) || !isTreeSize(to.size)) return fails('a size is not a number of leaves');
  if (from.size === 0) return fails('nothing is proved from an empty tree');
  if (from.size > to.size) return fails(`the tree shrank from ${from.size} to ${to.size}`);
  if (!isHash(from.root) || !isHash(to.root) || !proof.every(isHash)) return fails('a hash is not 32 bytes long');
  if (from.size === to.size) {
    if (proof.length > 0) return fails('between equal sizes the consistency proof has to be empty');
    return sameHash(from.root, to.root) ? holds : fails('two roots of one size differ');
  }
  let [node, last] = [from.size - 1, to.size - 1];
  while (isRight(node)) [node, last] = [half(node), half(last)];
  // Where the smaller tree is perfect, its root is the first step, and the proof leaves it out.
  const [first, ...rest] = node === 0 ? [from.root, ...proof] : proof;
  if (!first || proof.length === 0) return fails('the consistency proof is empty');
  let [hashFrom, hashTo] = [first, first];
  for (const hash of rest) {
    if (last === 0) return fails('the consistency proof is too long');
    if (isRight(node) || node === last) {
      hashFrom = nodeHash(hash, hashFrom);
      hashTo = nodeHash(hash, hashTo);
      while (!isRight(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hashTo = nodeHash(hashTo, hash);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0) return fails('the consistency proof is too short');
  if (!sameHash(hashFrom, from.root)) return fails('the consistency proof leads to another earlier root');
  return sameHash(hashTo, to.root) ? holds : fails('the consistency proof leads to another later root');
}

function isRight(node: number): boolean {
  return node % 2 === 1;
}

/** One level up. Sizes exceed 32 bits, which is all that a shift keeps. */
function half(node: number): number {
  return Math.floor(node / 2);
}
