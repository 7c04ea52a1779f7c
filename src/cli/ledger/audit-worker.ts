import { parentPort } from 'node:worker_threads';
import { createAudit } from '../../ledger/audit.ts';
import { finish, take, type Order } from './audit-work.ts';

/** The thread of `auditInThread`: it has one audit, and answers each order in turn. */
const audit = createAudit();

parentPort!.on('message', (order: Order) => {
  parentPort!.postMessage(order ? take(audit, entriesOf(order)) : finish(audit), []);
});

function* entriesOf({ bytes, begins, ends }: NonNullable<Order>): Generator<Uint8Array> {
  for (const [place, begin] of begins.entries()) yield bytes.subarray(begin, ends[place]);
}
