/**
 * Events in one checkpoint, at the most: while their places are given, the next ones are written, and larger batches make
 * each side wait longer for the other than they save. With more than `largest` waiting, whoever waits does so anyway, and
 * batches of that size catch up sooner. A batch that fails is followed by smaller ones: on a machine that has hardly any
 * time for us, a large one would fail for its length again and again.
 */
export const batchSize = 512;
const largest = 2_000;
const smallest = 50;

/** The events that wait for their place in the ledger, and how many of them are taken at once. */
export interface Backlog {
  /** How many wait, as far as it is known: looked at only while batches are full. */
  readonly waiting: number;
  /** How many events the next batch takes, at the most. */
  nextBatch(): number;
  /** A batch was made. @param full whether it was as large as could be, so that more may wait. */
  made(full: boolean): void;
  /** There was nothing to be made, or another broker is at it. */
  idle(): void;
  failed(): void;
}

/** @param count tells how many wait. */
export function watchBacklog(count: () => Promise<number>, failed: (error: unknown) => void): Backlog {
  let [most, waiting, emptied] = [largest, 0, 0];
  const empty = (): void => {
    emptied += 1;
    waiting = 0;
  };
  return {
    get waiting() {
      return waiting;
    },
    nextBatch: () => Math.min(most, waiting > largest ? largest : batchSize),
    made(full) {
      most = Math.min(largest, 2 * most);
      if (!full) return empty();
      // Meanwhile the next batch is made; when that one has taken all, the answer comes too late.
      const before = emptied;
      count().then((counted) => (waiting = before === emptied ? counted : waiting), failed);
    },
    idle: empty,
    failed() {
      most = Math.max(smallest, Math.floor(Math.min(most, batchSize) / 4));
    },
  };
}
