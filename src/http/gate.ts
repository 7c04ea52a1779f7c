import { LatchkeyError } from '../domain/errors.ts';

/**
 * Lets work through a few at a time, and sends away what would have to wait too long.
 * @throws unavailable, with the seconds to wait, when too much waits already.
 */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>;

export interface GateOptions {
  /** How much is worked on at once. */
  readonly atOnce: number;
  /** How much may wait for that. */
  readonly mostWaiting: number;
  /** How many a second are asked to come back: later ones of a crowd are given later times. */
  readonly invited: number;
  /** Nobody is asked to wait longer, in seconds. */
  readonly longest: number;
}

/** A gate in this process. `now` is in milliseconds. */
export function createGate(options: GateOptions, now: () => number = () => performance.now()): Gate {
  const { atOnce, mostWaiting, invited, longest } = options;
  const waiting: (() => void)[] = [];
  let busy = 0;
  /** The moment for which the next one sent away is invited. */
  let next = 0;

  const refusal = (): LatchkeyError => {
    const [earliest, latest] = [now() + 1_000, now() + longest * 1_000];
    next = Math.min(Math.max(next + 1_000 / invited, earliest), latest);
    const retryAfter = Math.ceil((next - now()) / 1_000);
    return new LatchkeyError('unavailable', 'too many devices call at once: come back later', { retryAfter });
  };
  return async (work) => {
    if (busy >= atOnce) {
      if (waiting.length >= mostWaiting) throw refusal();
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      busy += 1;
    }
    try {
      return await work();
    } finally {
      // The place is handed on: nobody who came later slips in between.
      const first = waiting.shift();
      if (first) first();
      else busy -= 1;
    }
  };
}
