/**
 * Where to look for events that wait. What has been taken out of the inbox stays in its index until PostgreSQL vacuums, and
 * a search from the start passes all of it: after a minute of full load, ten milliseconds for each batch. So searches begin
 * at a `seq` before which nothing can come any more, since every transaction that could bring it has ended.
 */
export interface InboxSearch {
  /** Where the next search begins: it is for what has a greater `seq`. 0: for all. */
  after(): number;
  /** The next search is for all. */
  searchAll(): void;
  made(batch: SearchedBatch): void;
  /** The greatest `seq` that was taken: whatever else waits comes after it, but for what is being committed. */
  readonly taken: number;
}

/** A batch, which took of the inbox what its search found, by ascending `seq`. */
export interface SearchedBatch {
  /** The id of its transaction. */
  readonly xact: number;
  /** The oldest transaction that was running when it began, as its search or an earlier moment saw it. */
  readonly oldest: number;
  /** The last `seq` that it took; null for none. */
  readonly last: number | null;
  /** Whether there may have been more than it was to take. */
  readonly full: boolean;
}

/** For a database that was put back to an earlier state beneath us, whose numbers begin again. */
const searchAllEvery = 10_000;

/** @param now a clock that only goes forward, in milliseconds. */
export function searchInbox(now: () => number = () => performance.now()): InboxSearch {
  let all = false;
  let searchedAll = -Infinity;
  let taken = 0;
  /** Nothing that has this `seq` or a smaller one is left, or can come. */
  let done = 0;
  /** What is done once all transactions before this one have ended, and a search after that took what they left. */
  let next: { readonly seq: number; readonly xact: number } | null = null;
  return {
    after() {
      const due = now() - searchedAll >= searchAllEvery;
      if (due) searchedAll = now();
      const after = due || all ? 0 : done;
      all = false;
      return after;
    },
    searchAll() {
      all = true;
    },
    made({ xact, oldest, last, full }) {
      const tookUpTo = full ? (last ?? 0) : Infinity;
      if (next && oldest >= next.xact && tookUpTo >= next.seq) {
        done = Math.max(done, next.seq);
        next = null;
      }
      // A transaction has its id before its events have a `seq`, and what was taken until now had one before this batch
      // began: whoever has a smaller one has a smaller id than this batch.
      if (taken > done) next ??= { seq: taken, xact };
      taken = Math.max(taken, last ?? 0);
    },
    get taken() {
      return taken;
    },
  };
}
