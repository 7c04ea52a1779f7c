import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedEntry, LedgerFeed } from '../../ledger/feed.ts';
import { Failure } from '../failure.ts';
import { beginning, type Bookmark, type Place } from './bookmark.ts';
import type { LineMaker } from './lines.ts';
import type { Sink } from './sinks.ts';

export interface FollowOptions {
  readonly feed: LedgerFeed;
  readonly lineOf: LineMaker;
  readonly sink: Sink;
  readonly bookmark: Bookmark;
  /** End at the size that the ledger has at first, and give up at once when it cannot be read. */
  readonly once: boolean;
  readonly signal: AbortSignal;
  /** Told once when the ledger can no longer be read. */
  readonly troubled: (why: string) => void;
  /** Milliseconds between two looks at a ledger that has nothing new. */
  readonly pause?: number;
}

const batch = 250;
const longestPause = 30_000;

/**
 * Passes entries on, in order, from where the stream stopped, each at least once. The place is kept after the sink took
 * a batch: if we stop between the two, that batch comes again, and is known by its ids.
 * @returns how many entries were passed on.
 */
export async function follow(options: FollowOptions): Promise<number> {
  const { once, signal, pause = 1_000 } = options;
  let place = await startingPlace(options);
  let until = once ? null : Number.POSITIVE_INFINITY;
  let passed = 0;
  for (;;) {
    const page = await readPatiently(options, place.next);
    if (!page || signal.aborted) return passed;
    if (page.size < place.next) throw rolledBack(page.size, place.next);
    until ??= page.size;
    const ready = page.ready.filter(({ entry }) => entry.index < until!);
    const end = await pass(options, ready);
    passed += end.passed;
    if (signal.aborted) return passed;
    place = { next: Math.min(page.next, until), last: end.last ?? place.last };
    if (place.next >= until) return passed;
    if (page.next >= page.size) await sleep(pause, undefined, { signal }).catch(() => undefined);
  }
}

interface Ready {
  readonly entry: FeedEntry;
  readonly line: string;
}

/** Hands over what was read, as much at once as the sink takes, and keeps the place after each. */
async function pass(
  { sink, bookmark, signal }: FollowOptions,
  ready: readonly Ready[],
): Promise<{ readonly passed: number; readonly last: Place['last'] }> {
  let passed = 0;
  let last: Place['last'] = null;
  while (passed < ready.length && !signal.aborted) {
    passed += await sink.write(ready.slice(passed).map(({ line }) => line));
    const { index, event } = ready[passed - 1]!.entry;
    last = { index, id: event.id };
    await bookmark.save({ next: index + 1, last });
  }
  return { passed, last };
}

interface Page {
  readonly ready: readonly Ready[];
  readonly next: number;
  readonly size: number;
}

/** Reads on, and makes the lines. Who follows waits for a broker that is away; null when told to stop meanwhile. */
async function readPatiently(
  { feed, lineOf, once, signal, troubled }: FollowOptions,
  from: number,
): Promise<Page | null> {
  for (let attempt = 0; ; attempt++) {
    try {
      const { entries, next, size } = await feed.read(from, batch);
      const ready: Ready[] = [];
      for (const entry of entries) ready.push({ entry, line: await lineOf(entry) });
      return { ready, next, size };
    } catch (error) {
      if (signal.aborted) return null;
      if (once || !(error instanceof Failure) || error.kind !== 'unreachable') throw error;
      if (attempt === 0) troubled(`${error.message}; trying again`);
      await sleep(Math.min(longestPause, 1_000 * 2 ** Math.min(attempt, 10)), undefined, { signal }).catch(
        () => undefined,
      );
      if (signal.aborted) return null;
    }
  }
}

/**
 * Where the stream goes on: the later of what was kept and what the sink holds.
 * @throws Failure when the ledger is not the one that was passed on until there.
 */
async function startingPlace({ feed, sink, bookmark }: FollowOptions): Promise<Place> {
  const kept = (await bookmark.read()) ?? beginning;
  const held = (await sink.place()) ?? beginning;
  const place = held.next > kept.next ? held : kept;
  if (place.last === null) return place;
  const { index, id } = place.last;
  const { entries, size } = await feed.read(index, 1);
  if (size <= index) throw rolledBack(size, place.next);
  const found = entries.find((entry) => entry.index === index)?.event.id;
  if (found === id) return place;
  throw new Failure(
    'failed',
    `the entry \`${index}\` was passed on as \`${id}\`, and is \`${found ?? 'not to be seen'}\``,
    {
      hint: 'this is another ledger, or one that was rewritten: `latchkey ledger verify` tells',
    },
  );
}

function rolledBack(size: number, next: number): Failure {
  return new Failure('failed', `the ledger has ${size} entries, and ${next} have been passed on`, {
    hint: 'this is another ledger, or one that was rolled back: `latchkey ledger verify` tells',
  });
}
