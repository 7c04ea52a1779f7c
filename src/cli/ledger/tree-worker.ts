import { parentPort } from 'node:worker_threads';
import { AuditedTree } from '../../ledger/audit-tree.ts';
import type { Grown } from './growing-tree.ts';

/** Entries to append, one after another in `bytes`; null asks for the tiles on the right edge. */
export type Order = { readonly bytes: Uint8Array<ArrayBuffer>; readonly lengths: Uint32Array } | null;
export type Answer = Grown;

/** The thread of `growInThread`: it has one tree, and answers each order in turn. */
const tree = new AuditedTree();

parentPort!.on('message', (order: Order) => {
  if (order) tree.append(entriesOf(order));
  const answer: Answer = { tiles: order ? tree.takeTiles() : tree.edgeTiles(), root: tree.root() };
  parentPort!.postMessage(answer, []);
});

function* entriesOf({ bytes, lengths }: NonNullable<Order>): Generator<Uint8Array> {
  let at = 0;
  for (const length of lengths) {
    yield bytes.subarray(at, at + length);
    at += length;
  }
}
