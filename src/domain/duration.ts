const pattern = /^P(?!$)(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,7})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?)?$/;

/** The pattern of an ISO 8601 duration in days, hours, minutes and seconds: no months, no years, no fractions. */
export const durationPattern = pattern;

/** Reads an ISO 8601 duration into whole seconds; null when it is not one. A day is 24 hours. */
export function parseDuration(text: string): number | null {
  const match = pattern.exec(text);
  if (!match) return null;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
  ];
  return days * 86_400 + hours * 3_600 + minutes * 60 + seconds;
}

/** Writes whole seconds as an ISO 8601 duration, shortest form: 5400 is `PT1H30M`, 0 is `PT0S`. */
export function formatDuration(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const parts: [number, string][] = [
    [Math.floor((seconds % 86_400) / 3_600), 'H'],
    [Math.floor((seconds % 3_600) / 60), 'M'],
    [seconds % 60, 'S'],
  ];
  const time = parts.map(([amount, unit]) => (amount ? `${amount}${unit}` : '')).join('');
  const day = days ? `${days}D` : '';
  return day || time ? `P${day}${time && `T${time}`}` : 'PT0S';
}
