/**
 * Loads one thing after another and gives them in order, with up to `depth` of them on their way at once: so whoever
 * works on one does not wait for the next, and no more than so many are ever held.
 */
export async function* readAhead<T, R>(
  things: Iterable<T>,
  depth: number,
  load: (thing: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const underway: Promise<R>[] = [];
  const begin = (thing: T): void => {
    const loading = load(thing);
    // Whoever takes it hears of its failure; one that nobody takes any more is no news.
    loading.catch(() => {});
    underway.push(loading);
  };
  for (const thing of things) {
    begin(thing);
    if (underway.length > depth) yield await underway.shift()!;
  }
  while (underway.length > 0) yield await underway.shift()!;
}

/** The ranges of at most `width` that lie between two numbers; each but the first begins at a multiple of it. */
export function* rangesBetween(
  from: number,
  to: number,
  width: number,
): Generator<readonly [from: number, to: number], void, undefined> {
  for (let at = from; at < to;) {
    const end = Math.min(to, (Math.floor(at / width) + 1) * width);
    yield [at, end];
    at = end;
  }
}
