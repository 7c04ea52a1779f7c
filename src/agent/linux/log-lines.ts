/** The stretch of time that is asked for, in milliseconds since the epoch. */
export interface Window {
  readonly since: number;
  readonly until: number;
}

const longestLine = 65_536;
const newline = 0x0a;

/** The lines of a stream of bytes, without their ends; one that is too long to be one is cut. */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  for await (const chunk of stream) {
    let bytes = Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline)) {
      yield bytes.toString('utf8', 0, Math.min(end, longestLine));
      bytes = bytes.subarray(end + 1);
    }
    rest = bytes.length > longestLine ? bytes.subarray(0, longestLine) : bytes;
  }
  if (rest.length > 0) yield rest.toString('utf8');
}

/** The lines that were written within the window. One that bears no time belongs to the one before. */
export async function* within(lines: AsyncIterable<string>, window: Window): AsyncGenerator<string> {
  let isIn = true;
  for await (const line of lines) {
    const at = timeOf(line, window.until);
    if (at !== null) isIn = at >= window.since && at <= window.until;
    if (isIn) yield line;
  }
}

const stamp = /^(?<stamp>\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?)/;
const oldStamp = /^(?<stamp>[A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2}) /;

/**
 * When a line was written, by how it begins: RFC 3339, or the time of RFC 3164, which names no year and so is taken for
 * the last one of its kind before `latest`. Null for a line that bears no time.
 */
export function timeOf(line: string, latest: number): number | null {
  const written = stamp.exec(line)?.groups?.['stamp'];
  if (written !== undefined) {
    const at = Date.parse(
      written
        .replace(' ', 'T')
        .replace(',', '.')
        .replace(/([+-]\d{2})(\d{2})$/, '$1:$2'),
    );
    return Number.isNaN(at) ? null : at;
  }
  const old = oldStamp.exec(line)?.groups?.['stamp'];
  if (old === undefined) return null;
  const year = new Date(latest).getFullYear();
  const dayMs = 86_400_000;
  const at = Date.parse(`${old} ${year}`);
  return at > latest + dayMs ? Date.parse(`${old} ${year - 1}`) : at;
}
