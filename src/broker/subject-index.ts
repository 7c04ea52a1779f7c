import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { subjectsOf } from '../ledger/subjects.ts';
import { findIndexed, indexSubjects, type Spoken } from '../store/ledger-subjects.ts';
import { readEntries } from '../store/ledger.ts';
import type { Pool } from '../store/pool.ts';
import { sayOnce } from './say-once.ts';

interface Entry {
  readonly position: number;
  readonly bytes: Buffer;
}

/** Notes what the ledger's entries speak of, behind the batches that give them their positions. */
export interface SubjectIndex {
  /** A batch was made of these. */
  add(entries: readonly Entry[]): void;
  /**
   * Resolves once all has been noted but for what is being noted last, or after a second: no batch is made before, or they
   * would get ahead of it further and further.
   */
  ready(): Promise<void>;
  /** Resolves when all has been noted that was added. */
  close(): Promise<void>;
}

/** Entries are noted when so many have come together, or when the first has waited so long, in milliseconds. */
const enough = 512;
const longestWait = 200;
/** How long the next batch is held up for what was to be noted before it. */
const longestHold = 1_000;
/** What brokers have left behind that died in between is found in this time. */
const lookEvery = 1_000;

export function openSubjectIndex(pool: Pool, log: { warn(fields: object, message: string): void }): SubjectIndex {
  let [before, latest] = [Promise.resolve(), Promise.resolve()];
  let busy = 0;
  let closed = false;
  const stopping = (): boolean => closed;

  const trouble = sayOnce((_, message) => {
    log.warn(
      { error: message },
      'it could not be noted what entries speak of: they are found with more effort meanwhile',
    );
  });
  /** What is not being noted yet, one entry after the other. */
  const gathered: Entry[] = [];
  let waiting: NodeJS.Timeout | undefined;
  const enqueue = (work: () => Promise<void>): void => {
    busy += 1;
    const done = latest.then(work).then(trouble.worked, trouble.failed);
    [before, latest] = [latest, done.finally(() => void (busy -= 1))];
  };
  let catchingUp: Promise<void> | null = null;
  /**
   * Reads what no batch of ours has brought along: of brokers that died, or of a release that noted it otherwise. That may be
   * much, and no batch waits for it.
   */
  const catchUp = (): void => {
    catchingUp ??= readOn()
      .then(trouble.worked, trouble.failed)
      .finally(() => (catchingUp = null));
  };
  const readOn = async (): Promise<void> => {
    while (!stopping()) {
      const { size, indexed } = await findIndexed(pool);
      if (indexed >= size) return;
      const entries = await readEntries(pool, indexed, enough);
      if (entries.length === 0) throw new Error(`the entry ${indexed} of the ledger is gone`);
      await indexSubjects(pool, { ...spokenIn(entries), from: indexed }, true);
    }
  };
  const noteGathered = (): void => {
    clearTimeout(waiting);
    waiting = undefined;
    const entries = gathered.splice(0);
    if (entries.length === 0) return;
    enqueue(async () => {
      // To read what they speak of takes milliseconds, in which the next batch would not be begun.
      await nextTurn();
      if (!(await indexSubjects(pool, spokenIn(entries)))) catchUp();
    });
  };
  let seen = -1;
  const look = async (): Promise<void> => {
    const { size, indexed } = await findIndexed(pool);
    // Whoever made a batch is about to note it: only what stays as it is has been left behind.
    const left = indexed < size && indexed === seen;
    seen = indexed;
    if (left) catchUp();
  };
  const timer = setInterval(() => {
    if (busy === 0 && !catchingUp) enqueue(look);
  }, lookEvery);
  timer.unref();

  return {
    add(entries) {
      const [last, next] = [gathered.at(-1), entries[0]];
      // Between them another broker has made a batch.
      if (last && next && next.position !== last.position + 1) noteGathered();
      gathered.push(...entries);
      if (gathered.length >= enough) noteGathered();
      else waiting ??= setTimeout(noteGathered, longestWait);
    },
    ready: () => Promise.race([before, sleep(longestHold, undefined, { ref: false })]),
    async close() {
      closed = true;
      clearInterval(timer);
      noteGathered();
      await latest;
      await catchingUp;
    },
  };
}

function spokenIn(entries: readonly Entry[]): Spoken {
  const subjects = entries.flatMap(({ position, bytes }) =>
    subjectsOf(bytes).map((subject) => ({ subject, position })),
  );
  return { from: entries[0]!.position, until: entries.at(-1)!.position + 1, subjects };
}
