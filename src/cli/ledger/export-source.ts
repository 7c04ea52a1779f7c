import { open, type FileHandle } from 'node:fs/promises';
import type { LedgerSource } from '../../ledger/audit-source.ts';
import { canonicalJson } from '../../ledger/canonical.ts';
import { parseCheckpoint } from '../../ledger/checkpoint.ts';
import { parseNote } from '../../ledger/note.ts';
import { mostPinnedKeys } from '../../ledger/pinned-keys.ts';
import { noKeysServed, parseServedKeys, type ServedKeys } from '../../ledger/served-keys.ts';
import { Failure } from '../failure.ts';

/** The first line of an export. */
export interface Manifest {
  readonly origin: string;
  readonly size: number;
  /** base64. */
  readonly root: string;
  /** The signed note, whole. */
  readonly checkpoint: string;
  /** How the ledger's keys follow one another; absent when there never was another. */
  readonly keys?: ServedKeys;
}

/** Read at once, in bytes: more than any line. */
const chunk = 1_048_576;
/** The manifest holds the proof of every key that the ledger ever had. */
const longestLine = 16_777_216;
const newline = 0x0a;
const closing = 0x7d;

/** The line of an entry. What is no canonical event, as nothing in a ledger should be, is written as base64. */
export function formatEntryLine(index: number, bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf8');
  const event = isCanonical(text, bytes) ? `"event":${text}` : `"bytes":"${Buffer.from(bytes).toString('base64')}"`;
  return `{"index":${index},${event}}`;
}

function isCanonical(text: string, bytes: Uint8Array): boolean {
  try {
    return Buffer.from(canonicalJson(JSON.parse(text))).equals(bytes);
  } catch {
    return false;
  }
}

/** Opens an export, a JSON object a line. @throws Failure when the file cannot be read or begins with no manifest. */
export async function openLedgerExport(path: string): Promise<LedgerSource> {
  const file = await open(path).catch((cause: NodeJS.ErrnoException) => {
    throw new Failure('usage', `\`${path}\` cannot be read (${cause.code ?? cause.message})`, { cause });
  });
  try {
    return await readExport(path, file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readExport(path: string, file: FileHandle): Promise<LedgerSource> {
  const lines = linesOf(file.createReadStream({ autoClose: false, highWaterMark: chunk }));
  const [first, ...rest] = (await lines.next()).value ?? [];
  const manifest = readManifest(path, first?.toString('utf8'));
  const size = parseCheckpoint(parseNote(manifest.checkpoint).text).size;
  let more = false;
  return {
    checkpoint: manifest.checkpoint,
    keys: async () => manifest.keys ?? noKeysServed,
    async *entries(from, to) {
      let index = 0;
      for (let batch = rest; index < to; batch = (await lines.next()).value ?? []) {
        // What comes after a line that is missing belongs to no index.
        if (batch.length === 0) return;
        more = index + batch.length > size;
        const entries = batch.slice(0, to - index).map((line, place) => readEntry(index + place, line));
        yield entries.slice(Math.max(0, from - index));
        index += entries.length;
      }
      more ||= to === size && !(await lines.next()).done;
    },
    leftovers: async () => ({ unplaced: [], lost: [], waiting: 0, beyond: more ? size : null }),
    close: () => file.close(),
  };
}

/** The lines of a stream, as many at a time as come together. */
async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer[], undefined, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const bytes of stream) {
    const whole = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    const lines: Buffer[] = [];
    let begin = 0;
    for (let end = whole.indexOf(newline); end >= 0; end = whole.indexOf(newline, begin)) {
      lines.push(whole.subarray(begin, end));
      begin = end + 1;
    }
    rest = whole.subarray(begin);
    if (rest.length > longestLine)
      throw new Failure('usage', 'the file has a line that is longer than any of an export');
    if (lines.length > 0) yield lines;
  }
  if (rest.length > 0) yield [rest];
}

function readManifest(path: string, line: string | undefined): Manifest {
  try {
    const manifest = JSON.parse(line ?? '') as Partial<Manifest>;
    if (typeof manifest.checkpoint === 'string') {
      if (manifest.keys !== undefined) parseServedKeys(manifest.keys, mostPinnedKeys);
      return manifest as Manifest;
    }
  } catch {
    // Said below, whatever it was instead.
  }
  throw new Failure('usage', `\`${path}\` does not begin with the manifest of an export`, {
    hint: 'write one with `latchkey ledger export`',
  });
}

/** The bytes of the entry that a line holds; null when it is not that of this index. */
function readEntry(index: number, line: Buffer): Uint8Array | null {
  const begin = `{"index":${index},"event":`;
  // As it is written here, the event's own bytes stand in the line.
  if (line.toString('latin1', 0, begin.length) === begin && line.at(-1) === closing)
    return line.subarray(begin.length, -1);
  try {
    const entry = JSON.parse(line.toString('utf8')) as { index?: unknown; event?: unknown; bytes?: unknown };
    if (entry.index !== index) return null;
    return typeof entry.bytes === 'string'
      ? Buffer.from(entry.bytes, 'base64')
      : Buffer.from(canonicalJson(entry.event));
  } catch {
    return null;
  }
}
