/** One mistake in a bundle's files. Lines and columns count from 1, columns in characters. */
export interface Mistake {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** The place of a character (an index into the string, as `indexOf` gives it) as line and column. */
export function placeOf(text: string, index: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, Math.max(0, index));
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: Array.from(before.slice(lineStart)).length + 1 };
}

/** Turns an offset in UTF-8 bytes, which is how the engine counts, into an index into the string. */
export function indexOfByte(text: string, byte: number): number {
  return Buffer.from(text, 'utf8').subarray(0, byte).toString('utf8').length;
}

export function mistakeAt(file: string, text: string, index: number, message: string): Mistake {
  return { file, ...placeOf(text, index), message };
}

/** Orders mistakes as one reads the files, and drops what is said twice. */
export function inReadingOrder(mistakes: readonly Mistake[]): Mistake[] {
  const seen = new Map(mistakes.map((mistake) => [JSON.stringify(Object.values(mistake)), mistake]));
  return [...seen.values()].sort(
    (a, b) =>
      compareText(a.file, b.file) || a.line - b.line || a.column - b.column || compareText(a.message, b.message),
  );
}

/** Compares by code unit: the same order on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
