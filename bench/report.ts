import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describeMachine, type Machine } from './machine.ts';
import { median, quantile, range } from './statistics.ts';

/** One row of a report: what was measured, and the bar it has to clear if it has one. */
export interface Measure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly digits: number;
  /** How far the rounds of the run lay apart. */
  readonly range?: readonly [lowest: number, highest: number];
  readonly bar?: { readonly atLeast: number } | { readonly atMost: number };
}

/** How much of the machine other programs took meanwhile; nothing where the system does not tell. */
export function othersMeasure(percent: number | null): Measure[] {
  return percent === null ? [] : [{ name: 'processors taken by other programs', value: percent, unit: '%', digits: 0 }];
}

export function seconds(name: string, value: number, atMost?: number): Measure {
  return { name, value, unit: 's', digits: 1, ...(atMost !== undefined && { bar: { atMost } }) };
}

/** The median of what several rounds took, and how far they lay apart. */
export function secondsOfRounds(name: string, rounds: readonly number[], atMost?: number): Measure {
  return { ...seconds(name, median(rounds), atMost), range: range(rounds) };
}

/** @param atMost milliseconds that its p99 may have. */
export function latencyMeasures(name: string, slices: readonly (readonly number[])[], atMost?: number): Measure[] {
  return ([0.5, 0.99] as const).map((q) => ({
    name: `${name}, p${q * 100}`,
    value: quantile(slices.flat(), q),
    unit: 'ms',
    digits: 1,
    ...(slices.length > 1 && { range: range(slices.map((slice) => quantile(slice, q))) }),
    ...(q === 0.99 && atMost !== undefined && { bar: { atMost } }),
  }));
}

export function megabytes(name: string, value: number, atMost: number | null): Measure {
  return { name, value, unit: 'MB', digits: 0, ...(atMost !== null && { bar: { atMost } }) };
}

export interface Report {
  readonly benchmark: string;
  readonly machine: Machine;
  /** What was run: sizes, seconds, rounds. */
  readonly setting: Readonly<Record<string, number | string>>;
  readonly measures: readonly Measure[];
}

export function isMet({ value, bar }: Measure): boolean | null {
  if (!bar) return null;
  return 'atLeast' in bar ? value >= bar.atLeast : value <= bar.atMost;
}

/** Writes the report to `bench/results/NAME.json`, over the one before. */
export function writeReport(report: Report): void {
  const directory = fileURLToPath(new URL('results/', import.meta.url));
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}${report.benchmark}.json`, `${JSON.stringify(report, null, 2)}\n`);
}

/** The report as a table for a terminal. */
export function formatReport({ benchmark, machine, setting, measures }: Report): string {
  const heads = ['', 'value', 'range', 'bar', ''];
  const lines = measures.map((measure) => [
    measure.name,
    `${format(measure, measure.value)} ${measure.unit}`.trim(),
    measure.range ? measure.range.map((value) => format(measure, value)).join(' – ') : '',
    barOf(measure),
    { true: 'ok', false: 'MISSED', null: '' }[String(isMet(measure)) as 'true' | 'false' | 'null'],
  ]);
  const widths = heads.map((head, column) => Math.max(...[head, ...lines.map((line) => line[column]!)].map(lengthOf)));
  const row = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('   ')
      .trimEnd();
  const rule = '─'.repeat(widths.reduce((sum, width) => sum + width + 3, -3));
  return [
    '',
    `${benchmark} · ${Object.entries(setting)
      .map(([name, value]) => `${value} ${name}`)
      .join(', ')}`,
    describeMachine(machine),
    '',
    row(heads),
    rule,
    ...lines.map(row),
    '',
  ].join('\n');
}

function format({ digits }: Measure, value: number): string {
  return value.toLocaleString('en-GB', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function barOf({ bar, unit }: Measure): string {
  if (!bar) return '';
  return ('atLeast' in bar ? `≥ ${bar.atLeast} ${unit}` : `≤ ${bar.atMost} ${unit}`).trim();
}

function lengthOf(text: string): number {
  return text.length;
}
