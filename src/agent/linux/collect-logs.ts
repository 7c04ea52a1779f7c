import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { glob, stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { parseDuration } from '../../domain/duration.ts';
import { linesOf, within, type Window } from './log-lines.ts';
import { redact } from './redact.ts';
import { tar, type TarEntry } from './tar.ts';
import { cannot, exitCodes, UsageError, type Tools } from './tools.ts';

export interface LogWish {
  /** A duration before now, or a moment in RFC 3339; a day when not given. */
  readonly since: string | undefined;
  /** Likewise; now when not given. */
  readonly until: string | undefined;
  /** Files, or patterns for files, to be read beside the journal. */
  readonly files: readonly string[];
}

interface Source {
  readonly name: string;
  readonly lines: AsyncIterable<string>;
}

const partBytes = 1_048_576;
const mostBytes = 268_435_456;
const usualWindow = 'P1D';
/** Everything but who signs in to what (auth, authpriv), who writes to whom (mail) and who reads what (news, uucp, ftp). */
const facilities = 'kern,user,daemon,syslog,lpr,cron,local0,local1,local2,local3,local4,local5,local6,local7';

/**
 * Writes a gzipped tar archive of the journal and of log files, as far as they are of the window: in parts, since none
 * of it is kept before it is sent, with a `manifest.json` at the end that says what is in it and what is not.
 * @returns an exit code.
 */
export async function collectLogs(tools: Tools, wish: LogWish, output: Writable, now = Date.now()): Promise<number> {
  const window = { since: moment(wish.since ?? usualWindow, now), until: moment(wish.until ?? 'PT0S', now) };
  if (window.since >= window.until) throw new UsageError('`since` lies before `until`');
  const journalctl = await tools.find('journalctl');
  const files = await filesOf(wish.files, window);
  if (!journalctl && files.length === 0)
    return cannot('there is neither a journal on this device nor any of the files');
  const sources: Source[] = files.map((path) => ({ name: path.replace(/^\//, ''), lines: linesOfFile(path, window) }));
  if (journalctl) sources.unshift({ name: 'journal', lines: linesOfJournal(journalctl, window) });
  const entries = archived(sources, window, journalctl ? [] : ['there is no `journalctl` on this device']);
  await pipeline(tar(entries, Math.floor(now / 1_000)), createGzip(), output, { end: false });
  return exitCodes.done;
}

function moment(text: string, now: number): number {
  const seconds = parseDuration(text);
  const at = seconds === null ? Date.parse(text) : now - seconds * 1_000;
  if (Number.isNaN(at)) throw new UsageError(`\`${text}\` is neither a duration like \`PT6H\` nor a moment`);
  return at;
}

/** What of the patterns is there and was written to within the window, oldest name first. */
async function filesOf(patterns: readonly string[], { since }: Window): Promise<string[]> {
  const found = new Set<string>();
  for (const pattern of patterns) {
    for await (const path of glob(pattern)) {
      const about = await stat(path).catch(() => null);
      if (about?.isFile() && about.mtimeMs >= since) found.add(path);
    }
  }
  return [...found].sort();
}

async function* linesOfFile(path: string, window: Window): AsyncGenerator<string> {
  const bytes = createReadStream(path);
  yield* within(linesOf(path.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes), window);
}

async function* linesOfJournal(journalctl: string, { since, until }: Window): AsyncGenerator<string> {
  const at = (milliseconds: number): string => `@${Math.floor(milliseconds / 1_000)}`;
  const args = ['--quiet', '--no-pager', '--output=short-iso-precise', `--facility=${facilities}`];
  const child = spawn(journalctl, [...args, `--since=${at(since)}`, `--until=${at(until)}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.once('error', (error) => child.stdout.destroy(error));
  yield* linesOf(child.stdout);
}

/** Each source in parts, without what tells who somebody is; then what there was. */
async function* archived(
  sources: readonly Source[],
  window: Window,
  remarks: readonly string[],
): AsyncGenerator<TarEntry> {
  const told: Record<string, unknown>[] = [];
  let left = mostBytes;
  for (const { name, lines } of sources) {
    const about = { name, lines: 0, parts: 0 };
    try {
      for await (const part of inParts(lines, about, () => left > 0)) {
        left -= part.length;
        about.parts += 1;
        yield { name: `${name}/${String(about.parts).padStart(4, '0')}.log`, data: part };
      }
      told.push(about);
    } catch (error) {
      // A file that cannot be read, or is broken, must not cost the others.
      told.push({ ...about, why: error instanceof Error ? error.message : 'unknown' });
    }
  }
  const [since, until] = [window.since, window.until].map((at) => new Date(at).toISOString());
  const manifest = { since, until, sources: told, truncated: left <= 0, redacted: true, remarks };
  yield { name: 'manifest.json', data: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) };
}

async function* inParts(
  lines: AsyncIterable<string>,
  about: { lines: number },
  hasRoom: () => boolean,
): AsyncGenerator<Buffer> {
  let texts: string[] = [];
  let size = 0;
  for await (const line of lines) {
    const text = `${redact(line)}\n`;
    texts.push(text);
    size += text.length;
    about.lines += 1;
    if (size < partBytes) continue;
    yield Buffer.from(texts.join(''));
    if (!hasRoom()) return;
    [texts, size] = [[], 0];
  }
  if (texts.length > 0) yield Buffer.from(texts.join(''));
}
