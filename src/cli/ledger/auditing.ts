import { Worker } from 'node:worker_threads';
import { createAudit, Offence, type Remarks } from '../../ledger/audit.ts';
import { finish, take, type Answer, type Order } from './audit-work.ts';

/** An audit of what entries hold, beside whatever else is done with their bytes. */
export interface Auditing {
  /** Takes the next entries. @returns the first that does not hold, or null; in the order of the calls. */
  take(entries: readonly Uint8Array[]): Promise<Offence | null>;
  /** Ends the audit. @throws Offence when something stayed open that should not. */
  finish(): Promise<Remarks>;
  close(): Promise<void>;
}

/** A shorter ledger is audited before a thread would have begun. */
const worthAThread = 20_000;
/** Beside this file, whether that is a source or was compiled. */
const program = new URL(import.meta.url.replace(/auditing(?=\.\w+$)/, 'audit-worker'));

/** @param size how many entries there will be. */
export function startAudit(size: number): Auditing {
  return size < worthAThread ? auditHere() : auditInThread();
}

function auditHere(): Auditing {
  const audit = createAudit();
  return {
    take: async (entries) => offenceIn(take(audit, entries)),
    finish: async () => remarksIn(finish(audit)),
    close: async () => undefined,
  };
}

/** More than half of a verification needs neither the tree nor the network: a second processor is given that. */
export function auditInThread(): Auditing {
  const worker = new Worker(program);
  const waiting: PromiseWithResolvers<Answer>[] = [];
  let failure: Error | null = null;
  const fail = (error: Error): void => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  worker.on('message', (answer: Answer) => waiting.shift()!.resolve(answer));
  worker.on('error', fail).on('exit', () => fail(new Error('the thread that audits has ended')));
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
    take: async (entries) => offenceIn(await ask(inOnePiece(entries))),
    finish: async () => remarksIn(await ask(null)),
    close: async () => void (await worker.terminate()),
  };
}

function offenceIn({ offence }: Answer): Offence | null {
  return offence && new Offence(offence.index, offence.message, offence.exact);
}

function remarksIn(answer: Answer): Remarks {
  if (answer.remarks) return answer.remarks;
  throw offenceIn(answer)!;
}

/** In memory of its own, which changes hands instead of being copied once more. */
function inOnePiece(entries: readonly Uint8Array[]): NonNullable<Order> {
  // As they come from a database, they lie one behind the other with little between them: then they are copied at once.
  const [first, last] = [entries[0], entries.at(-1)];
  const lie = first && last ? new Uint8Array(first.buffer, first.byteOffset) : new Uint8Array();
  const begins = new Uint32Array(entries.length);
  const ends = new Uint32Array(entries.length);
  let at = 0;
  const areInRow = entries.every(({ buffer, byteOffset, length }, place) => {
    const begin = byteOffset - lie.byteOffset;
    const isNext = buffer === lie.buffer && begin >= at && begin - at < mostBetween;
    begins[place] = begin;
    at = ends[place] = begin + length;
    return isNext;
  });
  if (areInRow) return { bytes: lie.slice(0, at), begins, ends };
  return oneAfterAnother(entries, begins, ends);
}

const mostBetween = 64;

function oneAfterAnother(entries: readonly Uint8Array[], begins: Uint32Array, ends: Uint32Array): NonNullable<Order> {
  const bytes = new Uint8Array(entries.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const [place, entry] of entries.entries()) {
    bytes.set(entry, at);
    begins[place] = at;
    at = ends[place] = at + entry.length;
  }
  return { bytes, begins, ends };
}
