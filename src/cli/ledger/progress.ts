import type { Output } from '../io.ts';

const every = 100;
const width = 30;

/** A bar on a terminal; anywhere else it says nothing. */
export interface Progress {
  show(done: number, total: number): void;
  /** Takes the bar away. */
  end(): void;
}

/** @param now milliseconds. */
export function openProgress(output: Output, now: () => number): Progress {
  if (output.isTTY !== true) return { show: () => {}, end: () => {} };
  const began = now();
  let shown = Number.NEGATIVE_INFINITY;
  return {
    show(done, total) {
      const moment = now();
      if (moment - shown < every) return;
      shown = moment;
      const part = total === 0 ? 1 : done / total;
      const bar = '#'.repeat(Math.round(part * width)).padEnd(width, '.');
      const rate = Math.round(done / Math.max(0.001, (moment - began) / 1_000));
      output.write(`\r\x1b[2K[${bar}] ${count(done)} of ${count(total)} entries, ${count(rate)} a second`);
    },
    end() {
      if (shown > 0) output.write('\r\x1b[2K');
    },
  };
}

/** A number with its thousands set apart. */
export function count(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, ',');
}
