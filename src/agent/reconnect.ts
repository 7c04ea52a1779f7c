/** How a try to follow the stream of live grants came to its end. */
export interface Loss {
  /** True once a list had come over the connection. */
  readonly heard: boolean;
  /** The status that was answered instead of a stream; null when the stream was open, or nobody answered at all. */
  readonly status: number | null;
  /** True when the stream was open. */
  readonly open: boolean;
  /** When the broker asked to come back: for a stream that it ended within, otherwise after so many milliseconds. */
  readonly comeBack: number | null;
}

/** No broker's word keeps an agent away for longer than its last list may live on, in milliseconds. */
const longestAsked = 20_000;
const longestPause = 10_000;
const pushedBack = new Set([429, 503]);

/**
 * How long to wait before the next try, in milliseconds. Always at random over a span (full jitter), so that a fleet
 * that lost its broker does not come back as one: within a second for a stream that had worked, longer each time for
 * one that cannot be had.
 * @param failures how many tries in a row brought no list.
 */
export function pauseAfter(loss: Loss, failures: number, random: () => number = Math.random): number {
  const { heard, comeBack } = loss;
  const asked = comeBack === null ? null : Math.min(comeBack, longestAsked);
  if (heard) return 50 + random() * (asked ?? 1_000);
  const growing = 100 + random() * Math.min(longestPause, 500 * 2 ** Math.min(failures, 10));
  // Some way beyond what was asked: others were told the same second.
  return asked === null ? growing : Math.max(growing, asked + random() * Math.max(1_000, asked / 2));
}

/**
 * Whether to ask for the list by itself meanwhile: where something answers but no stream gets through. A broker that
 * asks for patience gets it once; one that worked until now only has to be connected to again.
 */
export function isWorthPolling({ heard, status, open }: Loss, failures: number): boolean {
  if (heard || (status === null && !open)) return false;
  return status === null || !pushedBack.has(status) || failures > 1;
}
