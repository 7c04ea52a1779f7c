import type { Fact, LedgerEvent } from '../events.ts';

/** The arm of a fact whose type may be `T`. */
export type FactOf<T, F = Fact> = F extends { readonly type: infer U } ? (T extends U ? F : never) : never;

/** An event of that type. */
export type EventOf<T extends Fact['type']> = FactOf<T> & Omit<LedgerEvent, 'type'>;

const idTime = [4, 14] as const;

/** True when the thing was made in the very millisecond of the event, so that the id of one that was is not used again. */
export function isMadeThen(id: string, event: Pick<LedgerEvent, 'id'>): boolean {
  return id.slice(...idTime) === event.id.slice(...idTime);
}

/** True when the one thing was made before the other. */
export function isOlder(id: string, other: string): boolean {
  return id.slice(...idTime) < other.slice(...idTime);
}

export function isWithin(some: readonly string[], all: readonly string[]): boolean {
  return some.every((each) => all.includes(each));
}
