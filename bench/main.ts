import { parseArgs } from 'node:util';
import { benchAgents } from './agents.ts';
import { benchEndings } from './endings.ts';
import { benchLedger } from './ledger.ts';
import { benchLifecycle } from './lifecycle.ts';
import { formatReport, isMet, writeReport, type Report } from './report.ts';
import { benchSizes } from './sizes.ts';
import { benchVerify } from './verify.ts';

/** How much is run; more of it gives steadier figures. */
export interface BenchOptions {
  /** Seconds of each slice that is measured. */
  readonly seconds: number;
  /** How often what is compared is measured, in turn. */
  readonly rounds: number;
  readonly devices: number;
  /** How long the ledger is that is verified in the end. */
  readonly entries: number;
  /** Lifecycles in flight at once while the throughput is measured. */
  readonly concurrency: number;
  /** How many agents are connected, one number after the other. */
  readonly agents: readonly number[];
  /** Brokers on one database; agents are connected to the first. */
  readonly brokers: number;
  /** A folder for the broker's CPU profile. */
  readonly profile?: string;
  /** Says what goes on. */
  readonly progress: (message: string) => void;
}

const benchmarks: Readonly<Record<string, (options: BenchOptions) => Promise<Report>>> = {
  ledger: benchLedger,
  lifecycle: benchLifecycle,
  verify: benchVerify,
  agents: benchAgents,
  endings: benchEndings,
  sizes: benchSizes,
};

const usage = `usage: npm run bench -- [${Object.keys(benchmarks).join('|')}]… [--seconds N] [--rounds N] [--devices N] [--concurrency N] [--agents N,…] [--brokers N] [--entries N] [--profile DIR] [--json]

Measures what docs/performance.md promises, writes bench/results/NAME.json, and exits 1 when a bar is missed.`;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.exitCode = await run(process.argv.slice(2));

async function run(args: readonly string[]): Promise<number> {
  const number = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      seconds: { ...number, default: '6' },
      rounds: { ...number, default: '5' },
      devices: { ...number, default: '1000' },
      concurrency: { ...number, default: '32' },
      agents: { ...number, default: '1000,10000' },
      brokers: { ...number, default: '2' },
      entries: { ...number, default: '1000000' },
      profile: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const unknown = positionals.filter((name) => !Object.hasOwn(benchmarks, name));
  const agents = values.agents.split(',').map(Number);
  const { seconds: slice, rounds: times, devices: many, concurrency: inFlight, brokers: some, entries: all } = values;
  const counts = [...[slice, times, many, inFlight, some, all].map(Number), ...agents];
  if (values.help || unknown.length > 0 || !counts.every((count) => Number.isInteger(count) && count > 0)) {
    console.error(usage);
    return values.help ? 0 : 2;
  }
  const [seconds, rounds, devices, concurrency, brokers, entries] = counts as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const progress = (message: string): void => console.error(`  ${message}`);
  const reports: Report[] = [];
  for (const name of positionals.length > 0 ? positionals : Object.keys(benchmarks)) {
    const report = await benchmarks[name]!({
      seconds,
      rounds,
      devices,
      concurrency,
      agents,
      brokers,
      entries,
      progress,
      ...(values.profile !== undefined && { profile: values.profile }),
    });
    writeReport(report);
    if (!values.json) console.log(formatReport(report));
    reports.push(report);
  }
  if (values.json) console.log(JSON.stringify(reports));
  return reports.every((report) => report.measures.every((measure) => isMet(measure) !== false)) ? 0 : 1;
}
