/** What became of an attempt to use something once. */
export type UseOnce = 'first' | 'again' | 'full';

/** Remembers what was used, for as long as it could be used again. */
export interface ReplayCache {
  /**
   * Uses the key: `first` for exactly one of any number of callers, `again` for the others. `full` when too much is
   * remembered to take more; whoever asks must refuse then. Times are milliseconds of one clock.
   */
  use(key: string, now: number, until: number): UseOnce;
  /** True for a key that was used and is still remembered. */
  has(key: string, now: number): boolean;
}

/** A replay cache of bounded size. What has run out leaves by itself; what has not is never pushed out. */
export function createReplayCache(capacity = 100_000): ReplayCache {
  const used = new Map<string, number>();

  return {
    use(key, now, until) {
      const before = used.get(key);
      if (before !== undefined && before > now) return 'again';
      // A Map keeps the order of insertion, which is nearly the order of running out: the front is swept as we go.
      for (const [old, end] of used) {
        if (end > now) break;
        used.delete(old);
      }
      if (used.size >= capacity) return 'full';
      used.delete(key);
      used.set(key, until);
      return 'first';
    },
    has: (key, now) => (used.get(key) ?? now) > now,
  };
}
