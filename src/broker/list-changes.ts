import type { DeviceId } from '../domain/ids.ts';
import { recentVersions } from '../store/live-grants.ts';
import type { BrokerContext } from './context.ts';

/** A device's list and the version that it has now. */
export interface ChangedList {
  readonly device: DeviceId;
  readonly version: number;
}

/** How often other brokers' changes are looked for, in milliseconds. */
const lookEvery = 250;
/** When the ledger grows they are looked for at once, but no more often than this. */
const shortestPause = 40;
/**
 * A change is dated before its commit, so a look goes back further than to the last one. Most transactions commit
 * within moments, and none takes longer than the second bound: looking so far back now and then finds the rest.
 */
const overlap = 300;
const longestTransaction = 20_000;
const deepEvery = 2_000;

/**
 * Finds the lists that change, whichever broker changed them. Each change is an event of the ledger, whose sequencer
 * announces every checkpoint to all brokers: at that moment, and regularly in case an announcement is lost, one
 * query reads the versions of the last moments. What it reads depends on how much changes, not on how much there is.
 * @param idle true while nobody would be told.
 */
export function watchListChanges(
  context: Pick<BrokerContext, 'pool' | 'ledger'>,
  idle: () => boolean,
  found: (changes: readonly ChangedList[]) => void,
): { close(): void } {
  let looking = false;
  let again = false;
  let lookedAt = -Infinity;
  let lookedDeepAt = -Infinity;
  let soon: NodeJS.Timeout | undefined;

  const look = async (): Promise<void> => {
    if (idle()) return;
    if (looking) {
      again = true;
      return;
    }
    looking = true;
    again = false;
    const now = performance.now();
    const deep = now - lookedDeepAt >= deepEvery;
    const back = deep ? longestTransaction : Math.min(now - lookedAt + overlap, longestTransaction);
    try {
      found(await recentVersions(context.pool, back / 1_000));
      lookedAt = now;
      if (deep) lookedDeepAt = now;
    } catch {
      // The next look goes back as far as this one should have; a long outage is made good by the regular statements.
    } finally {
      looking = false;
    }
    if (again) lookSoon();
  };
  const lookSoon = (): void => {
    soon ??= setTimeout(
      () => {
        soon = undefined;
        void look();
      },
      Math.max(0, shortestPause - (performance.now() - lookedAt)),
    ).unref();
  };
  const regularly = setInterval(() => void look(), lookEvery).unref();
  const stopListening = context.ledger.onGrowth(lookSoon);
  return {
    close() {
      stopListening();
      clearInterval(regularly);
      clearTimeout(soon);
    },
  };
}
