import { existsSync, readFileSync } from 'node:fs';
import type { BenchOptions } from './main.ts';
import type { Measure } from './report.ts';
import { range } from './statistics.ts';

/**
 * The rounds of a run. On a virtual machine the host may give its processors to others for a while: what is measured then says
 * how busy the host is. Such rounds are told by that alone, whatever came out of them, set aside, and measured again.
 */
export interface Rounds {
  /**
   * Measures until as many rounds count as were asked for, or twice as many have been measured: then those count of which the
   * least was withheld.
   */
  take<T>(measure: (round: number) => Promise<T>): Promise<T[]>;
  /** What was withheld in the rounds that count, and how many do not; nothing where the system does not tell. */
  measures(): Measure[];
}

/** Percent of the processors' time that may be withheld from a round that counts. */
const tolerable = 2;

/** Time of all processors so far, and how much of it the host kept to itself, in the same unit. */
export interface ProcessorTimes {
  readonly all: number;
  readonly withheld: number;
}

export function openRounds(
  { rounds, progress }: Pick<BenchOptions, 'rounds' | 'progress'>,
  now: () => ProcessorTimes | null = processorTimes,
): Rounds {
  const counted: number[] = [];
  let setAside = 0;
  return {
    async take<T>(measure: (round: number) => Promise<T>) {
      const tried: { readonly result: T; readonly withheld: number | null }[] = [];
      const isCalm = ({ withheld }: (typeof tried)[number]): boolean => (withheld ?? 0) <= tolerable;
      while (tried.filter(isCalm).length < rounds && tried.length < 2 * rounds) {
        const before = now();
        const result = await measure(tried.length + 1);
        tried.push({ result, withheld: percentWithheld(before, now()) });
        const last = tried.at(-1)!;
        if (!isCalm(last)) progress(`the host withheld ${last.withheld!.toFixed(1)} % of the processors: once more`);
      }
      const chosen = tried.toSorted((a, b) => (a.withheld ?? 0) - (b.withheld ?? 0)).slice(0, rounds);
      counted.push(...chosen.flatMap(({ withheld }) => withheld ?? []));
      setAside += tried.length - chosen.length;
      return chosen.map(({ result }) => result);
    },
    measures() {
      if (counted.length === 0) return [];
      const [least, most] = range(counted);
      return [
        { name: 'processors withheld by the host, at most', value: most, unit: '%', digits: 1, range: [least, most] },
        { name: 'rounds set aside, since it withheld more', value: setAside, unit: '', digits: 0 },
      ];
    },
  };
}

function percentWithheld(before: ProcessorTimes | null, after: ProcessorTimes | null): number | null {
  if (!before || !after) return null;
  return (100 * (after.withheld - before.withheld)) / Math.max(1, after.all - before.all);
}

/** Of the `cpu` line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal. */
function processorTimes(): ProcessorTimes | null {
  if (!existsSync('/proc/stat')) return null;
  const ticks = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/).slice(1, 9).map(Number);
  return { all: ticks.reduce((sum, each) => sum + each, 0), withheld: ticks[7] ?? 0 };
}
