import type { Io, Output } from './io.ts';
import type { Failure } from './failure.ts';
import { jsonText, neutralise, neutraliseButColours } from './text/neutralise.ts';
import { paintFor, wantsColour, type Paint } from './text/paint.ts';
import { layOutTable, type Cell, type Column } from './text/table.ts';
import { wrapToWidth } from './text/width.ts';

/** One column of a printed table and how it is filled; what it returns is neutralised here. */
export interface TableColumn<T> extends Column {
  readonly value: (item: T) => string;
  readonly paint?: (item: T) => (text: string) => string;
}

/** How commands speak: results on standard output, everything about them on standard error. */
export interface Printer {
  readonly json: boolean;
  readonly paint: Paint;
  readonly width: number;
  /** With `--json`: one document on one line. */
  document(value: unknown): void;
  /** A line for people on standard output; nothing with `--json`. Only colours of our own pass in it. */
  line(text?: string): void;
  /** A line set off from what stands above it. */
  remark(text: string): void;
  /** A table of whatever the columns make of the items; nothing with `--json`. */
  table<T>(columns: readonly TableColumn<T>[], items: readonly T[]): void;
  /** Name and value a line, values aligned and wrapped; rows without a value are left out. */
  facts(rows: readonly (readonly [name: string, value: string | null | undefined])[]): void;
  /** A line on standard error: progress, a warning. */
  note(text: string): void;
  /** Rewrites the live line on a terminal; elsewhere nothing. An empty text clears it. */
  live(text: string): void;
  failure(failure: Failure): void;
}

const widthWithoutTerminal = 100;

export function openPrinter(io: Io, json: boolean): Printer {
  const paint = paintFor(!json && wantsColour(io.env, io.stdout.isTTY === true));
  const errorPaint = paintFor(wantsColour(io.env, io.stderr.isTTY === true));
  const width = columnsOf(io.stdout);
  let isLive = false;

  function live(text: string): void {
    if (io.stderr.isTTY !== true || (text === '' && !isLive)) return;
    io.stderr.write(`\r\u001b[2K${text}`);
    isLive = text !== '';
  }
  function out(text: string): void {
    live('');
    io.stdout.write(`${neutraliseButColours(text)}\n`);
  }
  function note(text: string): void {
    live('');
    io.stderr.write(`${neutraliseButColours(text)}\n`);
  }

  /** On a terminal broken at words; elsewhere one line, so that it can be searched. */
  function noteWrapped(text: string, indent: string, lead = indent): void {
    const room = io.stderr.isTTY === true ? columnsOf(io.stderr) - 10 : Number.POSITIVE_INFINITY;
    const [first, ...rest] = wrapToWidth(neutralise(text), room);
    note(lead + first);
    for (const line of rest) note(`${indent || '  '}${line}`);
  }

  return {
    json,
    paint,
    width,
    document: (value) => {
      if (json) out(jsonText(value));
    },
    line: (text = '') => {
      if (!json) out(text);
    },
    remark: (text) => {
      if (json) return;
      out('');
      out(text);
    },
    table: (columns, items) => {
      if (json) return;
      const rows = items.map((item) => columns.map((column): Cell => cellOf(column, item)));
      for (const line of layOutTable(columns, rows, width, paint.faint)) out(line);
    },
    facts: (rows) => {
      if (json) return;
      const shown = rows.filter((row): row is readonly [string, string] => Boolean(row[1]));
      const names = Math.max(...shown.map(([name]) => name.length));
      for (const [name, value] of shown) {
        const [first, ...rest] = wrapToWidth(neutralise(value), Math.max(20, width - names - 4));
        out(`  ${paint.faint(name.padEnd(names))}  ${first}`);
        for (const line of rest) out(`${' '.repeat(names + 4)}${line}`);
      }
    },
    note,
    live,
    failure: (failure) => {
      noteWrapped(headline(failure), '', `${errorPaint.bad('latchkey:')} `);
      for (const { policy, message, remedy } of failure.reasons) {
        if (message !== failure.message)
          note(`  - ${neutralise(message)} ${errorPaint.faint(`(${neutralise(policy)})`)}`);
        if (remedy) noteWrapped(remedy, message === failure.message ? '  ' : '    ');
      }
      for (const { pointer, message } of failure.errors) {
        if (message !== failure.message) note(`  - ${neutralise(pointer || 'body')}: ${neutralise(message)}`);
      }
      if (failure.hint) noteWrapped(failure.hint, '  ');
    },
  };
}

/** The width to lay text out in; what is no terminal gets a hundred columns. */
export function columnsOf(output: Output): number {
  return output.isTTY === true && output.columns ? Math.max(40, output.columns) : widthWithoutTerminal;
}

function cellOf<T>(column: TableColumn<T>, item: T): Cell {
  const text = neutralise(column.value(item));
  return column.paint ? { text, paint: column.paint(item) } : { text };
}

/** The one sentence; where it is that of a reason or of a mistake, with the rule's name or the place of the mistake. */
function headline({ message, reasons, errors }: Failure): string {
  const reason = reasons.find((reason) => reason.message === message);
  const mistake = errors.find((mistake) => mistake.message === message);
  if (reason) return `${message} (${reason.policy})`;
  return mistake?.pointer ? `${mistake.pointer}: ${message}` : message;
}
