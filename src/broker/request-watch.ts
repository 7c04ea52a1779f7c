import type { RequestId } from '../domain/ids.ts';

/** Lets callers wait for a request to change. */
export interface RequestWatch {
  /** Resolves at a hint that the request changed, after `milliseconds`, or when told to stop; whichever is first. */
  next(id: RequestId, milliseconds: number, stop: AbortSignal): Promise<void>;
  changed(id: RequestId): void;
  close(): void;
}

export function createRequestWatch(): RequestWatch {
  const waiting = new Map<RequestId, Set<() => void>>();
  let closed = false;
  return {
    next(id, milliseconds, stop) {
      if (closed || stop.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const wakers = waiting.get(id) ?? new Set();
        waiting.set(id, wakers);
        const wake = (): void => {
          clearTimeout(timer);
          stop.removeEventListener('abort', wake);
          wakers.delete(wake);
          if (wakers.size === 0 && waiting.get(id) === wakers) waiting.delete(id);
          resolve();
        };
        const timer = setTimeout(wake, milliseconds);
        stop.addEventListener('abort', wake);
        wakers.add(wake);
      });
    },
    changed(id) {
      for (const wake of waiting.get(id) ?? []) wake();
    },
    close() {
      closed = true;
      for (const wakers of waiting.values()) for (const wake of wakers) wake();
    },
  };
}
