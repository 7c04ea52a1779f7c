import { open, type FileHandle } from 'node:fs/promises';
import { Failure } from '../failure.ts';
import type { Output } from '../io.ts';
import type { Place } from './bookmark.ts';
import { mayBeginLine, placeOfLine } from './lines.ts';

/** Where a stream goes. */
export interface Sink {
  /**
   * Hands over lines from the first on, and resolves when the sink has taken them for good.
   * @returns how many it took: at least one.
   */
  write(lines: readonly string[]): Promise<number>;
  /**
   * Where the stream stands that it holds from an earlier run; null when there is none, or nobody can tell.
   * @throws Failure when it holds something else, which is left as it is.
   */
  place(): Promise<Place | null>;
}

/** A pipe or a terminal. What it has taken may still be lost by whoever reads it. */
export function outputSink(output: Output): Sink {
  return {
    place: async () => null,
    async write(lines) {
      const hasRoom = output.write(`${lines.join('\n')}\n`);
      if (hasRoom === false) await new Promise<void>((resolve) => void (output.once?.('drain', resolve) ?? resolve()));
      return lines.length;
    },
  };
}

/**
 * A file of JSON Lines, appended to and brought to the disk batch by batch. It is opened for each, so that it may be
 * moved away in between. A line that a crash cut short is taken off when the next run begins.
 */
export function fileSink(path: string): Sink {
  const opened = async <T>(work: (file: FileHandle) => Promise<T>): Promise<T> => {
    try {
      const file = await open(path, 'a+', 0o600);
      try {
        return await work(file);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (error instanceof Failure) throw error;
      throw new Failure('failed', `\`${path}\` cannot be written: ${(error as Error).message}`, { cause: error });
    }
  };
  return {
    place: () =>
      opened(async (file) => {
        const { line, cut, wholeLength } = await readTail(file);
        const place = line === null ? null : placeOfLine(line);
        if ((line !== null && place === null) || !mayBeginLine(cut)) {
          throw new Failure('failed', `\`${path}\` holds something else than a stream of a ledger`, {
            hint: 'name another file with `--to`',
          });
        }
        if (cut !== '') await file.truncate(wholeLength);
        return place;
      }),
    write: (lines) =>
      opened(async (file) => {
        await file.appendFile(`${lines.join('\n')}\n`);
        await file.datasync();
        return lines.length;
      }),
  };
}

const chunk = 65_536;
const newline = 0x0a;

interface Tail {
  /** The last whole line; null when there is none. */
  readonly line: string | null;
  /** What stands after the last newline. */
  readonly cut: string;
  /** Bytes up to the last newline, that included. */
  readonly wholeLength: number;
}

async function readTail(file: FileHandle): Promise<Tail> {
  const facts = await file.stat();
  if (!facts.isFile()) return { line: null, cut: '', wholeLength: 0 };
  let tail = Buffer.alloc(0);
  for (let from = facts.size; ;) {
    const end = tail.lastIndexOf(newline);
    const before = end < 1 ? -1 : tail.lastIndexOf(newline, end - 1);
    if (from === 0 || before !== -1) {
      const line = end === -1 ? null : tail.toString('utf8', before + 1, end);
      return { line, cut: tail.toString('utf8', end + 1), wholeLength: from + end + 1 };
    }
    const begin = Math.max(0, from - chunk);
    const piece = Buffer.alloc(from - begin);
    await file.read(piece, 0, piece.length, begin);
    tail = Buffer.concat([piece, tail]);
    from = begin;
  }
}
