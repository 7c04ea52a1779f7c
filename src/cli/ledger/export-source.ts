import { open, type FileHandle } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { LedgerSource } from '../../ledger/audit-source.ts';
import { canonicalJson } from '../../ledger/canonical.ts';
import { Failure } from '../failure.ts';

/** The first line of an export. */
export interface Manifest {
  readonly origin: string;
  readonly size: number;
  /** base64. */
  readonly root: string;
  /** The signed note, whole. */
  readonly checkpoint: string;
}

const batch = 1_024;

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
  const lines = createInterface({ input: file.createReadStream({ autoClose: false }), crlfDelay: Infinity });
  const reader = lines[Symbol.asyncIterator]();
  const manifest = readManifest(path, (await reader.next()).value);
  return {
    checkpoint: manifest.checkpoint,
    entries: (from, to) => readEntries(reader, from, to),
    close: () => close(file, lines),
  };
}

async function close(file: FileHandle, lines: { close(): void }): Promise<void> {
  lines.close();
  await file.close();
}

function readManifest(path: string, line: string | undefined): Manifest {
  try {
    const manifest = JSON.parse(line ?? '') as Partial<Manifest>;
    if (typeof manifest.checkpoint === 'string') return manifest as Manifest;
  } catch {
    // Said below, whatever it was instead.
  }
  throw new Failure('usage', `\`${path}\` does not begin with the manifest of an export`, {
    hint: 'write one with `latchkey ledger export`',
  });
}

/** Entries in the order of their lines: the file is read once, from its beginning. */
async function* readEntries(
  lines: AsyncIterator<string>,
  from: number,
  to: number,
): AsyncGenerator<(Uint8Array | null)[], void, undefined> {
  let entries: (Uint8Array | null)[] = [];
  for (let index = 0; index < to; index++) {
    const { value, done } = await lines.next();
    const entry = done ? null : readEntry(index, value);
    if (index >= from) entries.push(entry);
    if (entries.length === batch || entry === null) {
      yield entries;
      entries = [];
    }
    // What comes after a line that is missing belongs to no index.
    if (entry === null) return;
  }
  if (entries.length > 0) yield entries;
}

/** The bytes of the entry that a line holds; null when it is not that of this index. */
function readEntry(index: number, line: string): Uint8Array | null {
  const begin = `{"index":${index},"event":`;
  // As it is written here, the event's own bytes stand in the line.
  if (line.startsWith(begin) && line.endsWith('}')) return Buffer.from(line.slice(begin.length, -1));
  try {
    const entry = JSON.parse(line) as { index?: unknown; event?: unknown; bytes?: unknown };
    if (entry.index !== index) return null;
    return typeof entry.bytes === 'string'
      ? Buffer.from(entry.bytes, 'base64')
      : Buffer.from(canonicalJson(entry.event));
  } catch {
    return null;
  }
}
