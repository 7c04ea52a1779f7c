const dateTime =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))?$/i;
const endOfYear9999 = 253_402_300_800;

/**
 * Reads a moment in any of the forms providers have for it, an RFC 3339 time, a date (its first moment in UTC: the
 * earlier reading is the safe one) or a NumericDate in seconds, into RFC 3339 UTC with milliseconds; null for
 * anything else.
 */
export function readMoment(value: unknown): string | null {
  if (typeof value === 'number') return readNumericDate(value);
  return typeof value === 'string' ? readText(value) : null;
}

function readNumericDate(value: number): string | null {
  return value >= 0 && value < endOfYear9999 ? new Date(value * 1_000).toISOString() : null;
}

function readText(text: string): string | null {
  if (!dateTime.test(text) || !isOnCalendar(text.slice(0, 10))) return null;
  const moment = new Date(text.toUpperCase());
  const year = moment.getUTCFullYear();
  return year >= 0 && year <= 9_999 ? moment.toISOString() : null;
}

/** The platform reads 30 February as 2 March. */
function isOnCalendar(date: string): boolean {
  const day = new Date(`${date}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date);
}
