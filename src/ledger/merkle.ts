import { hash } from 'node:crypto';

/** Bytes of a SHA-256 hash. */
export const hashLength = 32;

/** The root of a tree without leaves: SHA-256 of nothing (RFC 6962 §2.1). */
export const emptyRoot: Buffer = sha256(new Uint8Array());

const leafPrefix = 0x00;
const nodePrefix = 0x01;

/** Filled anew for every leaf and every node: hashing is synchronous, so nobody else can be at it. */
const leafScratch = Buffer.alloc(8_192, leafPrefix);
const nodeScratch = Buffer.alloc(1 + 2 * hashLength, nodePrefix);

/** The hash of a leaf: SHA-256(0x00 || entry) (RFC 6962 §2.1). */
export function leafHash(entry: Uint8Array): Buffer {
  const length = 1 + entry.length;
  const bytes = length <= leafScratch.length ? leafScratch.subarray(0, length) : Buffer.alloc(length, leafPrefix);
  bytes.set(entry, 1);
  return sha256(bytes);
}

/** The hash of a node: SHA-256(0x01 || left || right) (RFC 6962 §2.1). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (!isHash(left) || !isHash(right)) throw new RangeError(`a hash has ${hashLength} bytes`);
  nodeScratch.set(left, 1);
  nodeScratch.set(right, 1 + hashLength);
  return sha256(nodeScratch);
}

/** The root over the hashes of leaves, split at the largest power of two below their number (RFC 6962 §2.1). */
export function rootOfLeaves(leaves: readonly Uint8Array[]): Buffer {
  if (leaves.length === 0) return emptyRoot;
  let row = leaves;
  // An odd one out at the end of a row moves up as it is: the same tree, built from below.
  while (row.length > 1) {
    const above: Uint8Array[] = [];
    for (let at = 0; at < row.length; at += 2) {
      const right = row[at + 1];
      above.push(right ? nodeHash(row[at]!, right) : row[at]!);
    }
    row = above;
  }
  return Buffer.from(row[0]!);
}

/** True for a number of leaves, or the index of one: sizes go to 2^53 - 1, where numbers stop being exact. */
export function isTreeSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

export function isHash(value: Uint8Array): boolean {
  return value.length === hashLength;
}

export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return isHash(a) && Buffer.compare(a, b) === 0;
}

function sha256(bytes: Uint8Array): Buffer {
  // By way of a string: five times as fast as asking for a buffer, which allocates outside the heap for each 32 bytes.
  return Buffer.from(hash('sha256', bytes, 'binary'), 'latin1');
}
