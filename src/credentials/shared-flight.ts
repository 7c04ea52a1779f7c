/**
 * Lets callers who ask the same thing at once share one answer. Whoever comes while one is being fetched waits for the
 * next, which begins after they asked: so nobody is given an answer older than their question, and at most one goes out
 * at a time however many ask.
 */
export function createSharedFlights<T>(): (key: string, fetch: () => Promise<T>) => Promise<T> {
  const flying = new Map<string, Promise<T>>();
  const waiting = new Map<string, Promise<T>>();

  const fly = (key: string, fetch: () => Promise<T>): Promise<T> => {
    const flight = fetch().finally(() => {
      if (flying.get(key) === flight) flying.delete(key);
    });
    flying.set(key, flight);
    return flight;
  };
  return (key, fetch) => {
    const current = flying.get(key);
    if (!current) return fly(key, fetch);
    const queued = waiting.get(key);
    if (queued) return queued;
    const begin = (): Promise<T> => {
      waiting.delete(key);
      return fly(key, fetch);
    };
    const next = current.then(begin, begin);
    waiting.set(key, next);
    return next;
  };
}
