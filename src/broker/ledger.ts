import { LatchkeyError } from '../domain/errors.ts';
import type { EventId } from '../domain/ids.ts';
import { consistencyProof, inclusionProof } from '../ledger/merkle-proof.ts';
import { formatReceipt } from '../ledger/receipt.ts';
import { findCosignatures, findCosigned, type Cosigned } from '../store/cosignatures.ts';
import {
  findLastFiled,
  findLedgerState,
  isWaiting,
  listenToLedger,
  locate,
  type LedgerState,
} from '../store/ledger.ts';
import type { Pool } from '../store/pool.ts';
import { watchBacklog } from './backlog.ts';
import { LedgerBehind, type HighWater } from './high-water.ts';
import { searchInbox } from './inbox-search.ts';
import { sayOnce } from './say-once.ts';
import { isSignedByAll, LedgerDamaged, sequenceBatch, type LedgerSigner, type Sequenced } from './sequence-ledger.ts';
import { openSubjectIndex } from './subject-index.ts';
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
  /** @throws unavailable when the database has lost what was signed. */
  requireSound(): void;
  /**
   * @throws unavailable while the ledger takes nothing new: behind its own past, further back than it can catch up, or
   * too far ahead of what the vault knows of it.
   */
  requireRoom(): void;
  /**
   * The receipt of an event that was committed, as soon as a checkpoint covers it that as many witnesses have cosigned
   * as are needed.
   * @param cosigned by how many witnesses, when by more than are needed.
   * @throws unavailable when none does in time; the event stays, and a later call finds its receipt.
   */
  receiptFor(event: EventId, bytes: Uint8Array, cosigned?: number): Promise<string>;
  /** How many witnesses are asked for each checkpoint. */
  readonly witnesses: number;
  state(): Promise<LedgerState>;
  /** The newest checkpoint, with what witnesses have put under it until now; null before the first. */
  checkpoint(): Promise<string | null>;
  inclusion(index: number, size: number): Promise<Uint8Array[]>;
  consistency(from: number, to: number): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

/** Where an event is, and the newest tree that holds it. */
interface Place {
  readonly position: number;
  readonly size: number;
  readonly checkpoint: string;
}

interface Waiter {
  readonly event: EventId;
  /** @param place where the event is, if that is known. */
  wake(place: Place | null): void;
}

interface Announcement {
  readonly promise: Promise<Place | null>;
  stop(): void;
}

interface LedgerLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** How long events gather before a batch is made of them, in milliseconds: what a receipt waits at least. */
const gather = 4;
/**
 * The shortest time from one batch to the next. A batch costs the database about as much as a decision does, however few
 * events are in it, so a busy ledger makes fewer and larger ones; a quiet one still signs at once.
 */
const pace = 40;
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
  const waiters = new Set<Waiter>();
  const listeners = new Set<() => void>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | null = null;
  let again = false;
  let begun = -Infinity;
  let closed = false;
  const stopping = (): boolean => closed;
  let own = 0;

  /** Somebody has announced something. */
  const wake = (): void => {
    for (const waiter of waiters) waiter.wake(null);
    for (const listener of listeners) listener();
  };
  /** This broker has made a batch: whoever waits for an event of it need not ask where it is. */
  const announce = ({ added, size, checkpoint }: Sequenced): void => {
    own = size;
    const positions = new Map(added.map(({ event, position }) => [event, position]));
    for (const waiter of waiters) {
      const position = positions.get(waiter.event);
      if (position !== undefined) waiter.wake({ position, size, checkpoint });
    }
    for (const listener of listeners) listener();
  };
  const waitFor = (event: EventId): Announcement => {
    const { promise, resolve } = Promise.withResolvers<Place | null>();
    const waiter: Waiter = {
      event,
      wake(place) {
        clearTimeout(timeout);
        waiters.delete(waiter);
        resolve(place);
      },
    };
    const timeout = setTimeout(() => waiter.wake(null), lookWhileWaiting);
    waiters.add(waiter);
    return { promise, stop: () => waiter.wake(null) };
  };
  const run = async (): Promise<void> => {
    for (let full = true; full && !stopping();) {
      again = false;
      begun = performance.now();
      full = await makeBatch();
    }
    if (again) poke();
  };
  /** @returns whether it was as large as may be, so that more may wait. */
  const makeBatch = async (): Promise<boolean> => {
    try {
      await subjects.ready();
      // While the ledger waits for an operator, nothing is taken in vain.
      const limit = highWater.behind() ? 0 : backlog.nextBatch();
      const sequenced = await sequenceBatch(pool, signer, (state) => highWater.check(state), limit, inbox.after());
      trouble.worked();
      if (!sequenced) {
        backlog.idle();
        return false;
      }
      const full = sequenced.added.length === limit;
      inbox.made({ ...sequenced.transaction, last: sequenced.added.at(-1)?.seq ?? null, full });
      highWater.raise(sequenced);
      announce(sequenced);
      witnesses.poke();
      subjects.add(sequenced.added);
      backlog.made(full);
      return full;
    } catch (error) {
      backlog.failed();
      trouble.failed(error);
      return false;
    }
  };
  const trouble = sayOnce((error, message) => {
    const grave = error instanceof LedgerDamaged || error instanceof LedgerBehind;
    log[grave ? 'error' : 'warn'](
      { error: message },
      'the ledger could not be extended: no credential is issued meanwhile',
    );
  });
  const inbox = searchInbox();
  const subjects = openSubjectIndex(pool, log);
  const backlog = watchBacklog(async () => (await findLastFiled(pool)) - inbox.taken, trouble.failed);
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
    timer ??= setTimeout(start, Math.max(gather, begun + pace - performance.now()));
  };
  /** The newest checkpoint as it was last looked at, for who has signed it. */
  let signedAs: string | null = null;
  const isSigned = (checkpoint: string | null): boolean => isSignedByAll(checkpoint, signer.privateKeys());
  const lookAround = async (): Promise<void> => {
    if (running || closed) return;
    try {
      if (!isSigned(signedAs)) signedAs = (await findLedgerState(pool)).checkpoint;
      const after = inbox.after();
      if (isSigned(signedAs) && !(await isWaiting(pool, after))) return;
      if (after === 0) inbox.searchAll();
      start();
    } catch (error) {
      trouble.failed(error);
    }
  };
  const look = setInterval(() => void lookAround(), lookEvery);
  look.unref();
  const listening = listenToLedger(pool, (size) => {
    if (size !== own) wake();
  });

  witnesses.onCosigned(wake);

  /** The checkpoint that a receipt for that position can be made of now, if there is one. */
  const findCheckpoint = async ({ position, ...newest }: Place, needed: number): Promise<Cosigned | null> => {
    const { keys } = witnesses;
    if (needed > 0) return findCosigned(pool, { position, witnesses: keys, needed });
    if (position >= newest.size) return null;
    return { ...newest, lines: keys.length > 0 ? await findCosignatures(pool, newest) : [] };
  };
  const makeReceipt = async (
    event: Uint8Array,
    index: number,
    { size, checkpoint, lines }: Cosigned,
  ): Promise<string> => {
    const hashes = await inclusionProof(index, size, readTree(pool, size, index));
    return formatReceipt({ event, index, hashes, checkpoint: checkpoint + lines.join('') });
  };

  const requireSound = (): void => {
    if (highWater.behind()) {
      throw new LatchkeyError('unavailable', 'the ledger waits for an operator', { retryAfter: 60 });
    }
  };

  return {
    poke,
    onGrowth(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    behind: highWater.behind,
    requireSound,
    requireRoom() {
      requireSound();
      if (highWater.overdue()) {
        throw new LatchkeyError('unavailable', 'the ledger waits for the vault', { retryAfter: 10 });
      }
      if (backlog.waiting > mostWaiting)
        throw new LatchkeyError('unavailable', 'the ledger is behind', { retryAfter: 2 });
    },
    witnesses: witnesses.keys.length,
    async receiptFor(event, bytes, cosigned = 0) {
      const needed = Math.max(cosigned, witnesses.needed);
      const deadline = performance.now() + longestWait;
      let announced = waitFor(event);
      try {
        // What has just been committed is in no batch yet: it is announced sooner than it could be found.
        let place = timer || running ? null : await locate(pool, event);
        for (;;) {
          const found = place && (await findCheckpoint(place, needed));
          if (place && found) return await makeReceipt(bytes, place.position, found);
          if (performance.now() > deadline || closed) {
            const missing = place ? 'witnesses have' : 'the ledger has';
            throw new LatchkeyError('unavailable', `${missing} not taken this yet`, { retryAfter: 1 });
          }
          if (place) witnesses.poke();
          else poke();
          const told = await announced.promise;
          announced = waitFor(event);
          place = told ?? (await locate(pool, event));
        }
      } finally {
        announced.stop();
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
      await subjects.close();
      await (await listening).close();
      await highWater.close();
    },
  };
}
