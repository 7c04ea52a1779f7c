/** What is to be done together: one round at a time, each with all that came in during the one before. */
export interface Gatherer<T> {
  add(items: Iterable<T>): void;
  /** Nothing begins any more. */
  close(): void;
}

/**
 * @param work does a round. What it was given is gathered again when it throws, and tried again a little later.
 * @param most how many items a round takes.
 */
export function gather<T>(
  most: number,
  work: (items: readonly T[]) => Promise<void>,
  failed: (error: unknown) => void,
): Gatherer<T> {
  const waiting = new Set<T>();
  let running = false;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const run = async (): Promise<void> => {
    timer = undefined;
    running = true;
    let taken: T[] = [];
    try {
      while (waiting.size > 0) {
        taken = [...waiting].slice(0, most);
        for (const item of taken) waiting.delete(item);
        await work(taken);
      }
    } catch (error) {
      failed(error);
      for (const item of taken) waiting.add(item);
      timer = setTimeout(start, afterFailure).unref();
    } finally {
      running = false;
    }
  };
  const start = (): void => {
    timer = undefined;
    if (!running && !closed) void run();
  };
  return {
    add(items) {
      if (closed) return;
      for (const item of items) waiting.add(item);
      if (waiting.size > 0 && timer === undefined) start();
    },
    close() {
      closed = true;
      waiting.clear();
      clearTimeout(timer);
    },
  };
}

/** Milliseconds. */
const afterFailure = 500;
