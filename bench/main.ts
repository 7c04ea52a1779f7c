import { parseArgs } from 'node:util';
import { benchAgents } from './agents.ts';
import { useInstalledPostgres } from './database.ts';
import { benchEndings } from './endings.ts';
import { benchHistory } from './history.ts';
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
  /** How many lifecycles the database has behind it that is held against an empty one. */
  readonly history: number;
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
  history: benchHistory,
  sizes: benchSizes,
};

/** What is run when nothing else is said. */
const usual = {
  seconds: 6,
  rounds: 5,
  devices: 1_000,
  concurrency: 32,
  brokers: 2,
  entries: 1_000_000,
  history: 1_000_000,
};

const usage = `usage: npm run bench -- [${Object.keys(benchmarks).join('|')}]… [--seconds N] [--rounds N] [--devices N] [--concurrency N] [--agents N,…] [--brokers N] [--entries N] [--history N] [--profile DIR] [--json]

Measures what docs/performance.md promises, writes bench/results/NAME.json, and exits 1 when a bar is missed.`;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.exitCode = await run(process.argv.slice(2));

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...Object.fromEntries(
        Object.entries(usual).map(([name, value]) => [name, { type: 'string', default: String(value) } as const]),
      ),
      agents: { type: 'string', default: '1000,10000' },
      profile: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const unknown = positionals.filter((name) => !Object.hasOwn(benchmarks, name));
  const agents = values.agents.split(',').map(Number);
  const counts = Object.fromEntries(
    Object.keys(usual).map((name) => [name, Number(values[name as never])]),
  ) as unknown as typeof usual;
  const all = [...Object.values(counts), ...agents];
  if (values.help || unknown.length > 0 || !all.every((count) => Number.isInteger(count) && count > 0)) {
    console.error(usage);
    return values.help ? 0 : 2;
  }
  useInstalledPostgres();
  const progress = (message: string): void => console.error(`  ${message}`);
  const reports: Report[] = [];
  for (const name of positionals.length > 0 ? positionals : Object.keys(benchmarks)) {
    const report = await benchmarks[name]!({
      ...counts,
      agents,
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
