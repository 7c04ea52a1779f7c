import { LatchkeyError } from '../domain/errors.ts';
import type { EventId } from '../domain/ids.ts';
import { consistencyProof, inclusionProof } from '../ledger/merkle-proof.ts';
import { formatReceipt } from '../ledger/receipt.ts';
import { findCosignatures, findCosigned, type Cosigned } from '../store/cosignatures.ts';
import { countWaiting, findLedgerState, listenToLedger, locate, type LedgerState } from '../store/ledger.ts';
import type { Pool } from '../store/pool.ts';
import { LedgerBehind, type HighWater } from './high-water.ts';
import { batchSize, LedgerDamaged, sequenceBatch, type LedgerSigner } from './sequence-ledger.ts';
import { readTree } from './tree-reader.ts';
import type { Witnesses } from './witnesses.ts';

/** The ledger as the rest of the broker knows it. */
export interface Ledger {
  /** A hint that something was committed. */
  poke(): void;
  /** Calls back whenever the ledger may have grown, whichever broker made it grow. @returns how to stop that. */
  onGrowth(listener: () => void): () => void;
  /** True when the database has lost what was signed: then nothing is signed at all. */
  behind(): boolean;
  /** @throws unavailable while the ledger takes nothing more: behind its own past, or further back than it can catch up. */
  requireRoom(): void;
  /**
   * The receipt of an event that was committed, as soon as a checkpoint covers it that as many witnesses have cosigned
   * as are needed.
   * @throws unavailable when none does in time; the event stays, and a later call finds its receipt.
   */
  receiptFor(event: EventId, bytes: Uint8Array): Promise<string>;
  state(): Promise<LedgerState>;
  /** The newest checkpoint, with what witnesses have put under it until now; null before the first. */
  checkpoint(): Promise<string | null>;
  inclusion(index: number, size: number): Promise<Uint8Array[]>;
  consistency(from: number, to: number): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

interface LedgerLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** How long events gather before a batch is made of them, in milliseconds: what a receipt waits at least. */
const gather = 4;
/** Events of brokers that died before they could say so are found this often. */
const lookEvery = 200;
const longestWait = 5_000;
const lookWhileWaiting = 100;
/** With more events waiting than this, nothing new is taken: some seconds of full load. */
const mostWaiting = 50_000;

export function openLedger(options: {
  readonly pool: Pool;
  readonly signer: LedgerSigner;
  readonly highWater: HighWater;
  readonly witnesses: Witnesses;
  readonly log: LedgerLog;
}): Ledger {
  const { pool, signer, highWater, witnesses, log } = options;
  const waiters = new Set<() => void>();
  const listeners = new Set<() => void>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | null = null;
  let again = false;
  let closed = false;
  let complained: string | null = null;
  const stopping = (): boolean => closed;
  let waiting = 0;

  const wake = (): void => {
    for (const waiter of waiters) waiter();
    for (const listener of listeners) listener();
  };
  const run = async (): Promise<void> => {
    do {
      again = false;
      try {
        const sequenced = await sequenceBatch(pool, signer, (state) => highWater.check(state));
        complained = null;
        if (sequenced) {
          highWater.raise(sequenced);
          wake();
          witnesses.poke();
        }
        const full = sequenced?.added === batchSize;
        waiting = full ? await countWaiting(pool, mostWaiting + 1) : 0;
        again ||= full;
      } catch (error) {
        complain(error);
      }
    } while (again && !stopping());
  };
  const complain = (error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error);
    if (message === complained) return;
    complained = message;
    const grave = error instanceof LedgerDamaged || error instanceof LedgerBehind;
    log[grave ? 'error' : 'warn'](
      { error: message },
      'the ledger could not be extended: no credential is issued meanwhile',
    );
  };
  const start = (): void => {
    timer = undefined;
    if (closed) return;
    if (running) {
      again = true;
      return;
    }
    running = run().finally(() => (running = null));
  };
  const poke = (): void => {
    timer ??= setTimeout(start, gather);
  };
  let signed = false;
  const lookAround = async (): Promise<void> => {
    if (running || closed) return;
    try {
      signed ||= (await findLedgerState(pool)).checkpoint !== null;
      if (!signed || (await countWaiting(pool, 1)) > 0) start();
    } catch (error) {
      complain(error);
    }
  };
  const look = setInterval(() => void lookAround(), lookEvery);
  look.unref();
  const listening = listenToLedger(pool, wake);

  witnesses.onCosigned(wake);

  /** The checkpoint that a receipt for that position can be made of now, if there is one. */
  const findCheckpoint = async (position: number, newest: Omit<Cosigned, 'lines'>): Promise<Cosigned | null> => {
    const { needed, keys } = witnesses;
    if (needed > 0) return findCosigned(pool, { position, witnesses: keys, needed });
    if (position >= newest.size) return null;
    return { ...newest, lines: keys.length > 0 ? await findCosignatures(pool, newest) : [] };
  };

  return {
    poke,
    onGrowth(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    behind: highWater.behind,
    requireRoom() {
      if (highWater.behind()) {
        throw new LatchkeyError('unavailable', 'the ledger waits for an operator', { retryAfter: 60 });
      }
      if (waiting > mostWaiting) throw new LatchkeyError('unavailable', 'the ledger is behind', { retryAfter: 2 });
    },
    async receiptFor(event, bytes) {
      const deadline = performance.now() + longestWait;
      for (;;) {
        const announced = new Promise<void>((resolve) => {
          const done = (): void => {
            clearTimeout(timeout);
            waiters.delete(done);
            resolve();
          };
          const timeout = setTimeout(done, lookWhileWaiting);
          waiters.add(done);
        });
        const { position, size, checkpoint } = await locate(pool, event);
        const found =
          position === null || checkpoint === null ? null : await findCheckpoint(position, { size, checkpoint });
        if (position !== null && found) {
          const hashes = await inclusionProof(position, found.size, readTree(pool, found.size, position));
          const note = found.checkpoint + found.lines.join('');
          return formatReceipt({ event: bytes, index: position, hashes, checkpoint: note });
        }
        if (performance.now() > deadline || closed) {
          const missing = position === null ? 'the ledger has' : 'witnesses have';
          throw new LatchkeyError('unavailable', `${missing} not taken this yet`, { retryAfter: 1 });
        }
        if (position === null) poke();
        else witnesses.poke();
        await announced;
      }
    },
    state: () => findLedgerState(pool),
    async checkpoint() {
      const { size, checkpoint } = await findLedgerState(pool);
      return checkpoint && checkpoint + (await findCosignatures(pool, { size, checkpoint })).join('');
    },
    inclusion: (index, size) => inclusionProof(index, size, readTree(pool, size, index)),
    consistency: (from, to) => consistencyProof(from, to, readTree(pool, to, Math.max(0, from - 1))),
    async close() {
      closed = true;
      clearTimeout(timer);
      clearInterval(look);
      wake();
      await running;
      await (await listening).close();
      await highWater.flush();
    },
  };
}
