import { emptyRoot, hashLength, isTreeSize, nodeHash } from './merkle.ts';
import { Malformed } from './verdict.ts';

/** Told of every perfect subtree as it becomes complete; level 0 is the leaves. */
export type NodeSink = (level: number, index: number, hash: Uint8Array) => void;

/**
 * All that has to be remembered of a tree to make it longer: the roots of the perfect subtrees that its leaves divide
 * into, largest first, one for each binary one of its size. Appending costs one or two hashes a leaf, the root at most
 * one for each of them.
 */
export class CompactRange {
  #size: number;
  readonly #roots: Uint8Array[];

  private constructor(size: number, roots: Uint8Array[]) {
    this.#size = size;
    this.#roots = roots;
  }

  static empty(): CompactRange {
    return new CompactRange(0, []);
  }

  /**
   * The range that `toBytes` wrote for a tree of that size.
   * @throws Malformed when the bytes are not one hash for each binary one of the size.
   */
  static from(size: number, bytes: Uint8Array): CompactRange {
    if (!isTreeSize(size)) throw new Malformed(`no tree has the size ${size}`);
    const count = binaryOnes(size);
    if (bytes.length !== count * hashLength) {
      throw new Malformed(`a tree of ${size} has a compact range of ${count} hashes, not ${bytes.length} bytes`);
    }
    const roots = Array.from({ length: count }, (_, i) =>
      Buffer.from(bytes.subarray(i * hashLength, (i + 1) * hashLength)),
    );
    return new CompactRange(size, roots);
  }

  /** The number of leaves. */
  get size(): number {
    return this.#size;
  }

  /** Appends the leaf with this hash, and tells the sink of the nodes that it completes, lowest first. */
  append(leafHash: Uint8Array, sink?: NodeSink): void {
    if (!isTreeSize(this.#size + 1)) throw new RangeError('the tree is full');
    let [node, level, index] = [leafHash, 0, this.#size];
    sink?.(level, index, node);
    while (index % 2 === 1) {
      node = nodeHash(this.#roots.pop()!, node);
      [level, index] = [level + 1, (index - 1) / 2];
      sink?.(level, index, node);
    }
    this.#roots.push(node);
    this.#size += 1;
  }

  /** The root over all leaves (RFC 6962 §2.1). */
  root(): Uint8Array {
    if (this.#size === 0) return emptyRoot;
    return this.#roots.reduceRight((right, left) => nodeHash(left, right));
  }

  /** The hashes one after another, to be kept beside the size. */
  toBytes(): Buffer {
    return Buffer.concat(this.#roots);
  }
}

function binaryOnes(value: number): number {
  let count = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}
