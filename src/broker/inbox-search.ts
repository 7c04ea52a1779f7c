/**
 * Where to look for events that wait. What has been taken out of the inbox stays in its index until PostgreSQL vacuums,
 * and a search from the start passes all of it: after a minute of full load, ten milliseconds for each batch. So all of
 * the index is searched once a second only. The searches between begin at what had been taken a second and more ago:
 * only an event whose transaction was open for that long can be before it, and the next search of all finds it.
 */
export interface InboxSearch {
  /** Where the next search begins: it is for what has a greater `seq`. 0: for all. */
  after(): number;
  /** The next search is for all. */
  searchAll(): void;
  /** Events were taken. @param seq of the last of them. */
  took(seq: number): void;
  /** The greatest `seq` that was taken: whatever else waits comes after it, but for what is being committed. */
  readonly taken: number;
}

const searchAllEvery = 1_000;

/** @param now a clock that only goes forward, in milliseconds. */
export function searchInbox(now: () => number = () => performance.now()): InboxSearch {
  let all = false;
  let searchedAll = -Infinity;
  /** The greatest that was taken: until now, when all was last searched, and when it was before that. */
  let [taken, takenThen, takenBefore] = [0, 0, 0];
  return {
    after() {
      const due = now() - searchedAll >= searchAllEvery;
      if (due) [searchedAll, takenThen, takenBefore] = [now(), taken, takenThen];
      const after = due || all ? 0 : takenBefore;
      all = false;
      return after;
    },
    searchAll() {
      all = true;
    },
    took(seq) {
      taken = Math.max(taken, seq);
    },
    get taken() {
      return taken;
    },
  };
}
