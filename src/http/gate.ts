import { LatchkeyError } from '../domain/errors.ts';

/**
 * Lets work through a few at a time, and sends away what would have to wait too long: nobody is helped by an answer
 * that comes when the caller has given up.
 * @param isWanted asked when its turn has come; work that nobody wants any more is not begun.
 * @throws unavailable, with the seconds to wait, when too much waits already.
 */
export type Gate = <T>(work: () => Promise<T>, isWanted?: () => boolean) => Promise<T>;

export interface GateOptions {
  /** How much is worked on at once. */
  readonly atOnce: number;
  /** How long the last in the queue may expect to wait, at the pace of the moment; in milliseconds. */
  readonly longestWait: number;
  /** How much may wait, however fast it goes. */
  readonly mostWaiting: number;
  /** Nobody is asked to come back later than this, in seconds. */
  readonly latestInvitation: number;
}

/** What is thought of the pace before it is known, in milliseconds for each. */
const firstPace = 5;
/** How much of the pace's past a completion replaces. */
const share = 1 / 16;
/** Of those sent away, fewer are invited than could be let through: others come by themselves. */
const spare = 1.25;

/** A gate in this process. `now` is in milliseconds. */
export function createGate(options: GateOptions, now: () => number = () => performance.now()): Gate {
  const { atOnce, longestWait, mostWaiting, latestInvitation } = options;
  const waiting: (() => void)[] = [];
  let busy = 0;
  /** Milliseconds from one completion to the next, as long as others wait. */
  let pace = firstPace;
  let completedAt: number | null = null;
  /** The moment to which the next one sent away is invited. */
  let invitation = 0;

  const isFull = (): boolean => waiting.length >= mostWaiting || waiting.length * pace > longestWait;
  const refusal = (): LatchkeyError => {
    const [earliest, latest] = [now() + 1_000, now() + latestInvitation * 1_000];
    invitation = Math.min(Math.max(invitation + pace * spare, earliest), latest);
    const retryAfter = Math.ceil((invitation - now()) / 1_000);
    return new LatchkeyError('unavailable', 'too many devices call at once: come back later', { retryAfter });
  };
  const completed = (): void => {
    const first = waiting.shift();
    const at = now();
    if (completedAt !== null) pace += (at - completedAt - pace) * share;
    completedAt = first ? at : null;
    // The place is handed on: nobody who came later slips in between.
    if (first) first();
    else busy -= 1;
  };
  return async (work, isWanted = () => true) => {
    if (busy >= atOnce) {
      if (isFull()) throw refusal();
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      busy += 1;
    }
    try {
      if (!isWanted()) throw new LatchkeyError('unavailable', 'the caller has gone');
      return await work();
    } finally {
      completed();
    }
  };
}
