import type { Clocks } from '../../../src/agent/elapsed.ts';

/** Clocks that stand still until a test moves them, together or each alone. */
export interface TestClock extends Clocks {
  /** Lets time pass, in milliseconds. */
  pass(milliseconds: number): void;
  /** Sets the wall clock alone, forward or back, as a person or a time server would. */
  jump(milliseconds: number): void;
  /** Milliseconds since the epoch, in truth. */
  now(): number;
}

/** A whole second, so that a test's NumericDates are exact. */
export const testStart = Date.parse('2030-01-15T10:00:00.000Z');

export function newTestClock(): TestClock {
  let passed = 0;
  let skew = 0;
  return {
    wall: () => testStart + passed + skew,
    monotonic: () => 5_000 + passed,
    now: () => testStart + passed,
    pass(milliseconds) {
      passed += milliseconds;
    },
    jump(milliseconds) {
      skew += milliseconds;
    },
  };
}
