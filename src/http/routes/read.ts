import type { Caller } from '../../broker/context.ts';
import { parseDuration } from '../../domain/duration.ts';
import { invalid } from '../../domain/errors.ts';
import type { Actor } from '../../ledger/events.ts';

/** The longest duration that any part of the product can store, in seconds. */
const longest = 2_000_000_000;

/** Whole seconds of an ISO 8601 duration. @throws invalid-request at the pointer. */
export function readDuration(text: string, pointer: string): number {
  const seconds = parseDuration(text);
  if (seconds === null) throw invalid(pointer, 'is not an ISO 8601 duration in days, hours, minutes and seconds');
  if (seconds < 1) throw invalid(pointer, 'is shorter than `PT1S`');
  if (seconds > longest) throw invalid(pointer, 'is longer than anything could last');
  return seconds;
}

/** A moment in RFC 3339. @throws invalid-request at the pointer. */
export function readTime(text: string, pointer: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime()) || time.getUTCFullYear() > 9999 || !isOnCalendar(text))
    throw invalid(pointer, 'is not a moment in RFC 3339');
  return time;
}

/** `Date` takes 30 February for 2 March, and 24:00 for the next day's beginning. */
function isOnCalendar(text: string): boolean {
  const [year, month, day, hour] = text.split(/\D/, 4).map(Number) as [number, number, number, number];
  return hour < 24 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate();
}

export function personActor(caller: Caller): Actor {
  return { kind: 'person', id: caller.id };
}
