import type { Change, Outbox, Waiting } from './outbox.ts';

/** An outbox on a disk that may be full for a while. */
export interface PatientOutbox {
  /** Writes what is not to happen unless it is written. Resolves once it is. @throws whatever the disk says. */
  write(changes: Promise<readonly Change[]>): Promise<void>;
  /** Writes what has happened. Resolves once it is written, or kept in memory until it can be. */
  keep(changes: Promise<readonly Change[]>): Promise<void>;
  /** True when nothing is in memory alone. */
  isWritten(): boolean;
  /** The first of what waits, written or not. */
  first(most: number, mostBytes: number): readonly Waiting[];
  /** These, the first, are told, or never will be. */
  told(events: readonly Waiting[]): void;
  /** Resolves once what was given has been tried; nothing may be given after it. */
  close(): Promise<void>;
}

interface Job {
  readonly changes: Promise<readonly Change[]>;
  readonly hasHappened: boolean;
  readonly done: PromiseWithResolvers<void>;
}

const retryMs = 1_000;

/**
 * Writes one thing after the other, and what came meanwhile together. What has happened and could not be written is
 * written before anything that comes later, so that nothing is told out of order.
 */
export function createPatientOutbox(
  outbox: Outbox,
  log: (message: string, details?: Readonly<Record<string, unknown>>) => void,
): PatientOutbox {
  let jobs: Job[] = [];
  let working: Promise<void> | null = null;
  let unwritten: readonly Change[] = [];
  let retry: NodeJS.Timeout | undefined;

  function take(changes: Promise<readonly Change[]>, hasHappened: boolean): Promise<void> {
    const done = Promise.withResolvers<void>();
    jobs.push({ changes, hasHappened, done });
    working ??= workOff();
    return done.promise;
  }

  async function workOff(): Promise<void> {
    while (jobs.length > 0) {
      const taken = jobs;
      jobs = [];
      const ready = (await Promise.all(taken.map(prepare))).flat();
      const error = writeAll(ready.flatMap(({ changes }) => changes));
      if (error !== null) unwritten = [...unwritten, ...ready.flatMap((job) => (job.hasHappened ? job.changes : []))];
      for (const { hasHappened, done } of ready) {
        if (error === null || hasHappened) done.resolve();
        else done.reject(error);
      }
      tryAgainLater();
    }
    // INVARIANT: in the same step as the last look, or what is given in between would wait for ever.
    working = null;
  }

  /** What could not be signed holds up nothing else. */
  async function prepare({ changes, hasHappened, done }: Job) {
    try {
      return [{ changes: await changes, hasHappened, done }];
    } catch (error) {
      done.reject(error);
      return [];
    }
  }

  /** @returns why it could not be written. */
  function writeAll(changes: readonly Change[]): unknown {
    try {
      outbox.write([...unwritten, ...changes]);
      if (unwritten.length > 0) log('what had to be kept in memory is on the disk', { events: unwritten.length });
      unwritten = [];
      return null;
    } catch (error) {
      log('what is to be told cannot be written', { why: error instanceof Error ? error.message : 'unknown' });
      return error;
    }
  }

  function tryAgainLater(): void {
    if (unwritten.length === 0) return;
    retry ??= setTimeout(() => {
      retry = undefined;
      void take(Promise.resolve([]), true);
    }, retryMs).unref();
  }

  return {
    write: (changes) => take(changes, false),
    keep: (changes) => take(changes, true),
    isWritten: () => unwritten.length === 0,
    first(most, mostBytes) {
      const written = outbox.first(most, mostBytes);
      if (written.length > 0) return written;
      return unwritten.flatMap((change) => ('tell' in change ? [change.tell] : [])).slice(0, most);
    },
    told(events) {
      const ids = new Set(events.map(({ id }) => id));
      const isOne = (change: Change) => 'tell' in change && ids.has(change.tell.id);
      if (!unwritten.some(isOne)) return outbox.told(events);
      // On the disk it is still owed: if we stop here, it is told again, under the same id.
      unwritten = unwritten.map((change) => ('tell' in change && isOne(change) ? { settle: change.tell.id } : change));
    },
    async close() {
      await working;
      clearTimeout(retry);
      outbox.close();
    },
  };
}
