import { parseDuration } from '../../domain/duration.ts';

const units: readonly (readonly [seconds: number, word: string])[] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** Whole seconds in at most two units: 5400 is `1 h 30 min`, 90 is `1 min 30 s`, 0 is `0 s`. */
export function durationWords(seconds: number): string {
  const parts: string[] = [];
  let rest = Math.max(0, Math.round(seconds));
  for (const [size, word] of units) {
    const amount = Math.floor(rest / size);
    rest %= size;
    if (amount > 0) parts.push(`${amount} ${word}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ') || '0 s';
}

/** Up to which number of a unit people still like it, smallest first: 90 s, 119 min, 47 h, and then days. */
const likedUntil: readonly (readonly [size: number, word: string, most: number])[] = [
  [1, 's', 90],
  [60, 'min', 119],
  [3_600, 'h', 47],
  [86_400, 'd', Number.POSITIVE_INFINITY],
];

/** A moment as seen from now: `in 12 min`, `3 h ago`, `now`. One unit, rounded to the nearest. */
export function relativeTime(at: string, now: number): string {
  const seconds = (Date.parse(at) - now) / 1000;
  if (Number.isNaN(seconds)) return 'at an unknown time';
  if (Math.abs(seconds) < 1) return 'now';
  const amounts = likedUntil.map(([size, word, most]) => [Math.round(Math.abs(seconds) / size), word, most] as const);
  const [amount, word] = amounts.find(([amount, , most]) => amount <= most)!;
  return seconds > 0 ? `in ${amount} ${word}` : `${amount} ${word} ago`;
}

/** An ISO 8601 duration in words; what is none is returned as it is. */
export function isoDurationWords(text: string): string {
  const seconds = parseDuration(text);
  return seconds === null ? text : durationWords(seconds);
}

/** Reads a duration as people write it (`30m`, `1h30m`, `2 h`, `90s`, `1d`) or as ISO 8601; null when it is neither. */
export function readDuration(text: string): number | null {
  const iso = parseDuration(text.toUpperCase());
  if (iso !== null) return iso;
  const match = /^(?:(\d{1,5})d)?(?:(\d{1,7})h)?(?:(\d{1,8})(?:m|min))?(?:(\d{1,9})s)?$/.exec(
    text.toLowerCase().replaceAll(/\s+/g, ''),
  );
  if (!match || text.trim() === '') return null;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return days! * 86_400 + hours! * 3_600 + minutes! * 60 + seconds!;
}

/**
 * Reads a moment: RFC 3339 with an offset, a local `2026-03-01 14:00` or `14:00` (today's, local), or a duration from
 * now (`+2h`). Null when it is none of them.
 */
export function readMoment(text: string, now: number): Date | null {
  if (text.startsWith('+')) {
    const seconds = readDuration(text.slice(1));
    return seconds === null ? null : new Date(now + seconds * 1000);
  }
  const clock = /^(\d{1,2}):(\d{2})$/.exec(text);
  if (clock) {
    const [hours, minutes] = [Number(clock[1]), Number(clock[2])];
    if (hours > 23 || minutes > 59) return null;
    const moment = new Date(now);
    moment.setHours(hours, minutes, 0, 0);
    return moment;
  }
  if (!/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?$/i.test(text)) return null;
  const moment = new Date(text.replace(' ', 'T'));
  return Number.isNaN(moment.getTime()) ? null : moment;
}
