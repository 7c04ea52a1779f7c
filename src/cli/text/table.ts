import { cutToWidth, textWidth, wrapToWidth } from './width.ts';

/** One column of a table. Without `shrinkTo` its values are never cut: ids, states. */
export interface Column {
  readonly title: string;
  /** The column may be cut down to so many columns when the table is too wide. */
  readonly shrinkTo?: number;
  /** When shrinking is not enough, columns go away altogether, the highest number first; without it, never. */
  readonly leave?: number;
  readonly align?: 'left' | 'right';
  /** What does not fit into the column goes on below, instead of being cut off. */
  readonly wrap?: boolean;
}

/** A cell: its text, and what colours it once it has been cut and padded. */
export interface Cell {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

const gap = '  ';

/**
 * Lays a table out within a width: shrinks what may shrink, widest first, then drops what may go.
 * Text must be neutralised already. If what must stay is wider than the width, lines are longer than it.
 */
export function layOutTable(
  columns: readonly Column[],
  rows: readonly (readonly (Cell | string)[])[],
  width: number,
  paintTitle: (text: string) => string = (text) => text,
): string[] {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'string' ? { text: cell } : cell)));
  const natural = columns.map((column, index) =>
    Math.max(textWidth(column.title), ...cells.map((row) => textWidth(row[index]?.text ?? ''))),
  );
  const kept = columnsThatFit(columns, natural, width);
  const widths = shrink(columns, natural, kept, width);
  const line = (texts: readonly Cell[]): string =>
    kept
      .map((index, place) => {
        const { text, paint } = texts[index] ?? { text: '' };
        const last = place === kept.length - 1;
        return pad(cutToWidth(text, widths[index]!), widths[index]!, columns[index]!.align ?? 'left', last, paint);
      })
      .join(gap)
      .trimEnd();
  const titles = columns.map((column) => ({ text: column.title, paint: paintTitle }));
  return [line(titles), ...cells.flatMap((row) => wrapRow(columns, row, widths).map(line))];
}

/** One row as the rows that it takes once the cells of wrapping columns are broken to their widths. */
function wrapRow(columns: readonly Column[], row: readonly Cell[], widths: readonly number[]): Cell[][] {
  const broken = row.map(({ text }, index) => (columns[index]?.wrap ? wrapToWidth(text, widths[index]!) : [text]));
  const height = Math.max(1, ...broken.map((lines) => lines.length));
  return Array.from({ length: height }, (_, line) =>
    row.map((cell, index) => ({ ...cell, text: broken[index]?.[line] ?? '' })),
  );
}

function columnsThatFit(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  let kept = columns.map((_, index) => index);
  const least = (index: number): number => Math.min(natural[index]!, columns[index]!.shrinkTo ?? natural[index]!);
  while (total(kept, least) > width) {
    const going = kept.filter((index) => columns[index]!.leave !== undefined);
    if (going.length === 0) break;
    const first = going.reduce((a, b) => (columns[b]!.leave! > columns[a]!.leave! ? b : a));
    kept = kept.filter((index) => index !== first);
  }
  return kept;
}

function shrink(columns: readonly Column[], natural: readonly number[], kept: readonly number[], width: number) {
  const widths = [...natural];
  const spare = (index: number): number => widths[index]! - (columns[index]!.shrinkTo ?? widths[index]!);
  while (total(kept, (index) => widths[index]!) > width) {
    const shrinkable = kept.filter((index) => spare(index) > 0);
    if (shrinkable.length === 0) break;
    const widest = shrinkable.reduce((a, b) => (widths[b]! > widths[a]! ? b : a));
    widths[widest]! -= 1;
  }
  return widths;
}

function total(kept: readonly number[], widthOf: (index: number) => number): number {
  return kept.reduce((sum, index) => sum + widthOf(index), 0) + gap.length * Math.max(0, kept.length - 1);
}

function pad(
  text: string,
  width: number,
  align: 'left' | 'right',
  last: boolean,
  paint: (text: string) => string = (plain) => plain,
): string {
  const filling = ' '.repeat(Math.max(0, width - textWidth(text)));
  if (align === 'right') return filling + paint(text);
  return last ? paint(text) : paint(text) + filling;
}
