import { open, readFile, rename } from 'node:fs/promises';
import { Failure } from '../failure.ts';

/** How far a stream has come: the entry to go on with, and the last one that was taken. */
export interface Place {
  readonly next: number;
  readonly last: { readonly index: number; readonly id: string } | null;
}

export const beginning: Place = { next: 0, last: null };

/** Where a stream's place is kept from one run to the next. */
export interface Bookmark {
  /** Null when nothing has been kept yet. @throws Failure for a file that holds something else. */
  read(): Promise<Place | null>;
  /** Whoever reads after a crash finds this place or the one before. */
  save(place: Place): Promise<void>;
}

export const noBookmark: Bookmark = { read: async () => null, save: async () => undefined };

export function fileBookmark(path: string): Bookmark {
  return {
    async read() {
      let text: string;
      try {
        text = await readFile(path, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw new Failure('failed', `the state \`${path}\` cannot be read: ${(error as Error).message}`);
      }
      const place = parsePlace(text);
      if (place) return place;
      throw new Failure('failed', `\`${path}\` holds no state of a stream`, {
        hint: 'name another file with `--state`, or remove it to begin again',
      });
    },
    async save(place) {
      const draft = `${path}.draft`;
      try {
        const file = await open(draft, 'w', 0o600);
        try {
          await file.writeFile(`${JSON.stringify(place)}\n`);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(draft, path);
      } catch (error) {
        throw new Failure('failed', `the state \`${path}\` cannot be written: ${(error as Error).message}`);
      }
    },
  };
}

function parsePlace(text: string): Place | null {
  try {
    const { next, last } = JSON.parse(text) as Place;
    const isPlace = Number.isSafeInteger(next) && next >= 0;
    const hasLast = last === null || (Number.isSafeInteger(last.index) && typeof last.id === 'string');
    return isPlace && hasLast ? { next, last } : null;
  } catch {
    return null;
  }
}
