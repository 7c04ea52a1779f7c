/** Gives everyone who takes part a turn once a round. Turns are spread evenly over the round, whenever people came. */
export interface Turns<T> {
  /** Takes part from now on; the first turn is at most a round away. @returns the place, needed to leave. */
  join(item: T): number;
  leave(item: T, place: number): void;
  /** Whose turns came since the last call; after a long pause everyone's, once. `now` is in milliseconds. */
  due(now: number): T[];
}

/**
 * @param round how long a round takes, in milliseconds.
 * @param count into how many places it is divided.
 * @param start when the first round begins.
 */
export function createTurns<T>(round: number, count: number, start: number): Turns<T> {
  const places = Array.from({ length: count }, () => new Set<T>());
  /** Places whose turns have been, counted over all rounds. */
  let passed = 0;
  return {
    join(item) {
      // The emptiest place, so that who comes back all at once does not stay together; of those, the last one due.
      let chosen = (passed + count - 1) % count;
      for (let ahead = count - 2; ahead >= 0; ahead--) {
        const place = (passed + ahead) % count;
        if (places[place]!.size < places[chosen]!.size) chosen = place;
      }
      places[chosen]!.add(item);
      return chosen;
    },
    leave(item, place) {
      places[place]!.delete(item);
    },
    due(now) {
      const until = Math.max(passed, Math.floor(((now - start) * count) / round));
      const items: T[] = [];
      for (let place = Math.max(passed, until - count); place < until; place++) items.push(...places[place % count]!);
      passed = until;
      return items;
    },
  };
}
