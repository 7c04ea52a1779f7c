import { nextDue } from '../store/due.ts';
import type { BrokerContext } from './context.ts';
import { tidySecrets } from './rotate-secrets.ts';
import { raiseWhatIsOverdue, recordWhatIsDue, tidy } from './sweep.ts';

export interface Sweeper {
  /** A hint that something is due by the clock then. */
  due(at: Date): void;
  /** Stops after what is running. */
  close(): Promise<void>;
}

/** Whatever hints are missed, such as another broker's, is found this often, in milliseconds. */
const longestSleep = 500;
const tidyEvery = 60_000;
/** Each look costs two lookups for every open session, and one for each device that waits for a password. */
const watchEvery = 2_000;
const afterFailure = 1_000;
const notTidied = 'passwords that nobody has any more are still in the vault';

/**
 * Records what the clock brings about, waking exactly when the next thing is due. Any number of brokers may sweep the
 * same database; after an outage it catches up in batches.
 */
export function startSweeper(context: BrokerContext): Sweeper {
  let timer: NodeJS.Timeout | undefined;
  let wakeAt = Infinity;
  let closed = false;
  let running: Promise<void> = Promise.resolve();
  let tidied = 0;
  let watched = 0;
  const stopping = (): boolean => closed;

  const sleepUntil = (at: number): void => {
    if (closed || at >= wakeAt) return;
    wakeAt = at;
    clearTimeout(timer);
    timer = setTimeout(
      () => {
        wakeAt = Infinity;
        running = running.then(sweep);
      },
      Math.max(0, at - Date.now()),
    );
  };

  const sweep = async (): Promise<void> => {
    try {
      // First, because recording may need the partitions that tidying makes.
      if (Date.now() - tidied > tidyEvery) {
        await tidy(context);
        tidied = Date.now();
      }
      let recorded = 1;
      while (recorded > 0 && !stopping()) recorded = await recordWhatIsDue(context);
      if (Date.now() - watched > watchEvery) {
        watched = Date.now();
        await raiseWhatIsOverdue(context);
        // What the vault does not do now is done in a later round, and nothing waits for it.
        await tidySecrets(context).catch((error: unknown) => context.log.warn({ error: String(error) }, notTidied));
      }
      const { due, now } = await nextDue(context.pool);
      // The database's clock decides; ours only measures how long that is from now.
      const wait = due ? Math.max(1, due.getTime() - now.getTime() + 1) : longestSleep;
      sleepUntil(Date.now() + Math.min(wait, longestSleep));
    } catch (error) {
      tidied = 0;
      context.log.warn({ error: String(error) }, 'could not record what is due; grants end by the clock all the same');
      sleepUntil(Date.now() + afterFailure);
    }
  };

  sleepUntil(Date.now());
  return {
    due: (at) => sleepUntil(at.getTime() + 1),
    async close() {
      closed = true;
      clearTimeout(timer);
      await running;
    },
  };
}
