import { performance } from 'node:perf_hooks';

/**
 * The two clocks of a machine, in milliseconds. Neither alone can be trusted: the wall clock can be set, the monotonic
 * one stands still while the machine is suspended.
 */
export interface Clocks {
  /** Milliseconds since the epoch, as the machine believes. */
  wall(): number;
  /** Milliseconds since an unnamed moment; never goes back. */
  monotonic(): number;
}

/** The clocks of this process. */
export const machineClocks: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() };

/** A moment as both clocks showed it. */
export interface Mark {
  readonly wall: number;
  readonly monotonic: number;
}

/** Notes the moment. */
export function mark(clocks: Clocks): Mark {
  return { wall: clocks.wall(), monotonic: clocks.monotonic() };
}

/**
 * Milliseconds since a mark: the larger of what the two clocks say (contract §8). A clock set back hides nothing, a
 * clock set forward or a machine that slept makes the time seem longer, never shorter.
 */
export function elapsedSince(since: Mark, clocks: Clocks): number {
  return Math.max(clocks.wall() - since.wall, clocks.monotonic() - since.monotonic);
}
