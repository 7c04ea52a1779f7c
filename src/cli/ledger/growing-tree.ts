import { Worker } from 'node:worker_threads';
import { AuditedTree, type MadeTile } from '../../ledger/audit-tree.ts';
import type { Answer, Order } from './tree-worker.ts';

/** A ledger's tree, computed anew beside whatever else is done with its entries. */
export interface GrowingTree {
  /** Appends entries. @returns the tiles that they completed, and the root after them; in the order of the calls. */
  append(entries: readonly Uint8Array[]): Promise<Grown>;
  /** The tiles on the right edge, which are not full. */
  edgeTiles(): Promise<readonly MadeTile[]>;
  close(): Promise<void>;
}

export interface Grown {
  readonly tiles: readonly MadeTile[];
  readonly root: Uint8Array;
}

/** A shorter ledger is hashed before a thread would have begun. */
const worthAThread = 20_000;

/** @param size how many entries there will be. */
export function growTree(size: number): GrowingTree {
  return size < worthAThread ? growHere() : growInThread();
}

function growHere(): GrowingTree {
  const tree = new AuditedTree();
  return {
    async append(entries) {
      tree.append(entries);
      return { tiles: tree.takeTiles(), root: tree.root() };
    },
    edgeTiles: async () => tree.edgeTiles(),
    close: async () => undefined,
  };
}

/** Hashing takes a fifth of a verification, so a second processor is given it. */
export function growInThread(): GrowingTree {
  const worker = new Worker(new URL('./tree-worker.ts', import.meta.url));
  const waiting: PromiseWithResolvers<Answer>[] = [];
  let failure: Error | null = null;
  const fail = (error: Error): void => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  worker.on('message', (answer: Answer) => waiting.shift()!.resolve(answer));
  worker.on('error', fail).on('exit', () => fail(new Error('the thread that hashes has ended')));
  const ask = (order: Order): Promise<Answer> => {
    const answered = Promise.withResolvers<Answer>();
    if (failure) answered.reject(failure);
    else {
      waiting.push(answered);
      worker.postMessage(order, order ? [order.bytes.buffer] : []);
    }
    return answered.promise;
  };
  return {
    append: (entries) => ask(inOnePiece(entries)),
    edgeTiles: async () => (await ask(null)).tiles,
    close: async () => void (await worker.terminate()),
  };
}

/** One after another in memory of their own, which changes hands instead of being copied once more. */
function inOnePiece(entries: readonly Uint8Array[]): NonNullable<Order> {
  const lengths = Uint32Array.from(entries, ({ length }) => length);
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const entry of entries) {
    bytes.set(entry, at);
    at += entry.length;
  }
  return { bytes, lengths };
}
