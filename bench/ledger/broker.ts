import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openHighWater } from '../../src/broker/high-water.ts';
import { openLedger, type Ledger } from '../../src/broker/ledger.ts';
import { openWitnesses } from '../../src/broker/witnesses.ts';
import { openDirectoryVault } from '../../src/credentials/directory-vault.ts';
import { freshKey, readLedgerKey } from '../../src/credentials/keys.ts';
import { leafBytes } from '../../src/ledger/canonical.ts';
import type { EventId } from '../../src/domain/ids.ts';
import { isWaiting, listenToLedger } from '../../src/store/ledger.ts';
import { openPool, type Pool } from '../../src/store/pool.ts';
import { inTransaction, rows } from '../../src/store/transaction.ts';
import { sweep } from '../sweep.ts';
import { Lives, type Batch, type Cast } from './lives.ts';

/**
 * As much of a broker as writes history: its pool, its sequencer, and writers that append through the product's journal,
 * in a process of its own. It takes one order after another.
 */
export interface Start {
  readonly url: string;
  readonly directory: string;
  readonly cast: Cast;
}

/** What the order is about: `append` waits for each batch’s checkpoint, `insert` fills a table without any of this. */
export interface Order {
  readonly what: 'append' | 'insert' | 'receipts' | 'fill' | 'proofs';
  readonly seconds: number;
  readonly writers: number;
  /** Events in a transaction, at least. */
  readonly batch: number;
  /** Events a second that are written while receipts are measured. */
  readonly perSecond: number;
  /** How many entries there are to be after `fill`. */
  readonly size: number;
}

export interface Answer {
  /** Of a start: the ledger’s key. */
  readonly vkey?: string;
  readonly perSecond?: number;
  /** Seconds of processor that this process used for an event. */
  readonly processor?: number;
  /** Of `fill`: how many entries there are now. */
  readonly size?: number;
  /** Milliseconds: from commit to checkpoint, of each batch; or what each receipt or proof took. */
  readonly times?: readonly number[];
}

interface Writing {
  readonly pool: Pool;
  readonly ledger: Ledger;
  readonly cast: Cast;
  readonly writers: readonly Writer[];
  /** Resolves with the moment of the next announcement. */
  readonly announced: () => Promise<number>;
  /** Resolves with the moment at which a checkpoint was announced that covers this event. */
  readonly covered: (event: EventId) => Promise<number>;
}

/** What one writer has to write, in order: a life goes on only after what went before is written. */
class Writer {
  readonly #lives: Lives;
  readonly #ready: Batch[] = [];

  constructor(cast: Cast) {
    this.#lives = new Lives(cast, livesOfEach);
  }

  /** Makes batches beforehand, so that there are as many: what events say is other work than writing them. */
  prepare(count: number, events: number): void {
    while (this.#ready.length < count) this.#ready.push(this.#lives.next(new Date(), events));
  }

  /** The next batch; null when no more were prepared. */
  take(): Batch | null {
    return this.#ready.shift() ?? null;
  }
}

const origin = 'latchkey.bench/eu';
const mostWriters = 16;
/** Lives side by side. */
const livesOfEach = 120;
/** Receipts that are asked for in a second. */
const receiptsPerSecond = 20;
const proofs = 2_000;

process.once('message', (start: Start) => void serve(start));

async function serve({ url, directory, cast }: Start): Promise<void> {
  const pool = openPool({ url, size: 24 });
  const key = readLedgerKey(origin, freshKey('ledger'));
  const signer = { origin, privateKeys: () => [key] };
  const log = { warn: complain, error: complain };
  const highWater = await openHighWater({
    vault: await openDirectoryVault(join(directory, 'secrets')),
    runner: pool,
    warn: (message) => complain({}, message),
  });
  const witnesses = openWitnesses({ witnesses: [], needed: 0, pool, signer, highWater, log });
  const ledger = openLedger({ pool, signer, highWater, witnesses, log });
  let waiting: ((at: number) => void)[] = [];
  const uncovered = new Map<EventId, (at: number) => void>();
  const listening = await listenToLedger(pool, () => {
    const at = performance.now();
    for (const heard of waiting.splice(0)) heard(at);
    void tellCovered(at);
  });
  const tellCovered = async (at: number): Promise<void> => {
    for (const event of await findCovered(pool, [...uncovered.keys()])) {
      uncovered.get(event)?.(at);
      uncovered.delete(event);
    }
  };
  const writing: Writing = {
    pool,
    ledger,
    cast,
    writers: Array.from({ length: mostWriters }, () => new Writer(cast)),
    announced: () => new Promise((resolve) => void (waiting = [...waiting, resolve])),
    covered: (event) => new Promise((resolve) => void uncovered.set(event, resolve)),
  };
  process.on('message', (order: Order) => void orders[order.what](writing, order).then(answer));
  process.once('disconnect', () => {
    void Promise.all([ledger.close(), witnesses.close(), listening.close()]).then(() => pool.end());
  });
  answer({ vkey: key.vkey });
}

const orders: Readonly<Record<Order['what'], (writing: Writing, order: Order) => Promise<Answer>>> = {
  append: measureAppends,
  insert: measureInserts,
  receipts: measureReceipts,
  fill,
  proofs: measureProofs,
};

function answer(message: Answer): void {
  process.send!(message);
}

function complain(fields: object, message: string): void {
  console.error(message, fields);
}

/** Many writers at once, each with one batch after another until the time is up. */
async function writeAll(
  writers: readonly Writer[],
  { seconds, batch }: Order,
  write: (batch: Batch) => Promise<void>,
): Promise<Pick<Answer, 'perSecond' | 'processor'>> {
  prepare(writers, seconds * mostPerSecond, batch);
  sweep();
  const used = process.cpuUsage();
  const began = performance.now();
  const until = began + seconds * 1_000;
  let [written, ended] = [0, began];
  await Promise.all(
    writers.map(async (writer) => {
      while (performance.now() < until) {
        const next = writer.take();
        if (!next) return;
        await write(next);
        ended = Math.max(ended, performance.now());
        written += next.events.length;
      }
    }),
  );
  const { user, system } = process.cpuUsage(used);
  return { perSecond: (written * 1_000) / (ended - began), processor: (user + system) / 1e6 / written };
}

function prepare(writers: readonly Writer[], events: number, batch: number): void {
  for (const writer of writers) writer.prepare(Math.ceil(events / batch / writers.length), batch);
}

/** The most that is prepared for: a slice that got further would end before its time. Less of it lies about meanwhile. */
const mostPerSecond = 12_000;

/** Appends batches, each writer the next one when a checkpoint covers the last, as whoever waits for a receipt does. */
async function measureAppends(writing: Writing, order: Order): Promise<Answer> {
  const { pool, ledger, writers } = writing;
  const times: number[] = [];
  const written = await writeAll(writers.slice(0, order.writers), order, async ({ journal, events }) => {
    // Asked for before the commit, so that no announcement comes too soon to be heard.
    const covered = writing.covered(events.at(-1)!.id);
    await inTransaction(pool, async (tx) => journal.write(tx));
    const committed = performance.now();
    ledger.poke();
    times.push(Math.max(0, (await covered) - committed));
  });
  return { ...written, times };
}

/** Those of the events that have a position: one look for all that wait, as a broker tells all who wait for its batch. */
async function findCovered(pool: Pool, events: readonly EventId[]): Promise<EventId[]> {
  if (events.length === 0) return [];
  const text = 'SELECT event FROM ledger_entries WHERE event = ANY ($1::text[])';
  return (await rows<{ event: EventId }>(pool, 'find-covered', text, [events])).map(({ event }) => event);
}

/** The same events in as many rows of a table that guards nothing and belongs to no tree. */
async function measureInserts({ pool, cast }: Writing, order: Order): Promise<Answer> {
  const writers = Array.from({ length: order.writers }, () => new Writer(cast));
  return writeAll(writers, order, async ({ events }) => {
    await inTransaction(pool, (tx) =>
      rows(tx, 'plain-insert', 'INSERT INTO plain_events (id, event) SELECT * FROM unnest($1::text[], $2::text[])', [
        events.map(({ id }) => id),
        events.map((event) => JSON.stringify(event)),
      ]),
    );
  });
}

/** Receipts of single events, asked for at random moments while others write at a steady rate. */
async function measureReceipts(writing: Writing, order: Order): Promise<Answer> {
  const { pool, ledger } = writing;
  const { perSecond, batch, seconds } = order;
  const writers = writing.writers.slice(0, order.writers);
  prepare(writers, seconds * perSecond, batch);
  const until = performance.now() + seconds * 1_000;
  const pause = (writers.length * batch * 1_000) / perSecond;
  const background = writers.map(async (writer, place) => {
    for (let due = performance.now() + (place * pause) / writers.length; due < until; due += pause) {
      await sleep(Math.max(0, due - performance.now()));
      const next = writer.take();
      if (!next) return;
      await inTransaction(pool, async (tx) => next.journal.write(tx));
      ledger.poke();
    }
  });
  const times: number[] = [];
  const asked: Promise<void>[] = [];
  let due = performance.now() + 200;
  while (due < until) {
    await sleep(Math.max(0, due - performance.now()));
    asked.push(takeReceipt(writing, due, times));
    due += (-Math.log(1 - Math.random()) * 1_000) / receiptsPerSecond;
  }
  await Promise.all([...background, ...asked]);
  return { times };
}

async function takeReceipt({ pool, ledger, cast }: Writing, due: number, times: number[]): Promise<void> {
  const { journal, events } = new Lives(cast, 1).next(new Date(), 1);
  await inTransaction(pool, async (tx) => journal.write(tx));
  ledger.poke();
  await ledger.receiptFor(events[0]!.id, leafBytes(events[0]!));
  times.push(performance.now() - due);
}

/** Makes the ledger as long as it is to be, as fast as it takes events. */
async function fill(writing: Writing, { size, writers, batch }: Order): Promise<Answer> {
  const { pool, ledger } = writing;
  // What was written before without waiting for it has its position first.
  while (await isWaiting(pool, 0)) await sleep(20);
  const began = performance.now();
  const { size: had } = await ledger.state();
  let written = 0;
  const write = async (writer: Writer): Promise<void> => {
    while (had + written < size) {
      writer.prepare(1, Math.min(batch, size - had - written));
      const { journal, events } = writer.take()!;
      written += events.length;
      await inTransaction(pool, async (tx) => journal.write(tx));
      ledger.poke();
      await reaches(had + written - 4 * writers * batch);
    }
  };
  const reaches = async (wanted: number): Promise<void> => {
    for (;;) {
      const next = writing.announced();
      if ((await ledger.state()).size >= wanted) return;
      await next;
    }
  };
  await Promise.all(writing.writers.slice(0, writers).map(write));
  await reaches(had + written);
  const { size: now } = await ledger.state();
  return { perSecond: (written * 1_000) / (performance.now() - began), size: now };
}

/** Proofs of entries at random: what is read of the tree, and hashed. */
async function measureProofs({ ledger }: Writing): Promise<Answer> {
  const { size } = await ledger.state();
  const times: number[] = [];
  for (let count = 0; count < proofs; count++) {
    const began = performance.now();
    await ledger.inclusion(Math.floor(Math.random() * size), size);
    times.push(performance.now() - began);
  }
  return { times };
}
