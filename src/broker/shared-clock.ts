import { databaseNow, type Runner } from '../store/transaction.ts';

/** The database's clock as it was last read, and this process's monotonic one since then. */
export interface SharedClock {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The database said `at` to a question that was asked at that mark of `performance.now()`. */
  readonly set: (at: Date, asked: number) => void;
}

/** Reads the database's clock, so that brokers agree on the time whatever their own clocks say. */
export async function openSharedClock(runner: Runner): Promise<SharedClock> {
  let last = { at: 0, asked: 0 };
  const set: SharedClock['set'] = (at, asked) => {
    last = { at: at.getTime(), asked };
  };
  const asked = performance.now();
  set(await databaseNow(runner), asked);
  return { now: () => last.at + Math.floor(performance.now() - last.asked), set };
}
