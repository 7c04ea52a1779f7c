import { withClient } from '../src/development/postgres-roles.ts';
import { settle } from './database.ts';
import { runVerify, type VerifyRun } from './ledger/verify-run.ts';
import { batch, filling, withWriting, writers, type WritableLedger } from './ledger/writing.ts';
import { thisMachine } from './machine.ts';
import type { BenchOptions } from './main.ts';
import { processorSeconds, watchOthers } from './processes.ts';
import { latencyMeasures, othersMeasure, type Measure, type Report } from './report.ts';
import { openRounds } from './rounds.ts';
import { median, quantile, range } from './statistics.ts';

/** Seconds of writing that are not counted. */
const wakingUp = 2;

/**
 * The ledger under writers that append through the product’s journal, each event in a batch that waits for its
 * checkpoint, against the same events in a plain table; then verified and proved at its full length.
 */
export function benchLedger(options: BenchOptions): Promise<Report> {
  return withWriting(options.progress, (ledger) => measureLedger(options, ledger));
}

async function measureLedger(options: BenchOptions, { postgres, version, broker }: WritableLedger): Promise<Report> {
  const { seconds, rounds, entries, progress } = options;
  const others = watchOthers();

  const quarter = Math.ceil(entries / 4);
  progress(`filling the ledger to ${quarter.toLocaleString('en-GB')} entries`);
  const few = await broker.run('fill', { ...filling, size: quarter });
  await settle(postgres.adminUrl);
  const verify = async (size: number): Promise<VerifyRun[]> => {
    const runs: VerifyRun[] = [];
    for (let time = 0; time < 3; time++) {
      runs.push(await runVerify(postgres.auditorUrl, broker.vkey, size));
      progress(`verified in ${runs.at(-1)!.seconds.toFixed(1)} s, ${runs.at(-1)!.peak.toFixed(0)} MB`);
    }
    return runs;
  };
  const verifiedSmall = await verify(few.size!);

  // Sixteen connections make their plans and are given their memory before anything is counted.
  await broker.run('append', { seconds: wakingUp });
  const taken = openRounds(options);
  const perRound = await taken.take(async (round): Promise<Round> => {
    const used = postgresSeconds(broker.pid);
    const { perSecond, times, processor } = await broker.run('append', { seconds });
    const usedAfter = postgresSeconds(broker.pid);
    const plain = await broker.run('insert', { seconds });
    const lag = quantile(times!, 0.99);
    progress(`round ${round}: ${perSecond!.toFixed(0)} events/s, p99 to checkpoint ${lag.toFixed(0)} ms`);
    return {
      append: perSecond!,
      lags: times!,
      plain: plain.perSecond!,
      broker: processor!,
      postgres: used === null || usedAfter === null ? null : (usedAfter - used) / (perSecond! * seconds),
    };
  });
  const half = median(perRound.map(({ append }) => append)) / 2;
  progress(`receipts, while ${half.toFixed(0)} events a second are written`);
  const receiptsAfter = async (before: () => Promise<unknown>): Promise<(readonly number[])[]> =>
    taken.take(async () => {
      await before();
      return (await broker.run('receipts', { seconds, perSecond: half })).times!;
    });
  const receipts = await receiptsAfter(async () => {});
  // From then on, each page that is changed is written into the log whole, once.
  const checkpoint = (): Promise<unknown> => withClient(postgres.superuserUrl, (client) => client.query('CHECKPOINT'));
  const receiptsOverCheckpoints = await receiptsAfter(checkpoint);

  progress(`filling the ledger to ${entries.toLocaleString('en-GB')} entries`);
  const filled = await broker.run('fill', { ...filling, size: entries });
  progress(`verifying ${filled.size!.toLocaleString('en-GB')} entries`);
  await settle(postgres.adminUrl);
  const verified = await verify(filled.size!);
  const proofs = (await broker.run('proofs', {})).times!;
  return {
    benchmark: 'ledger',
    machine: thisMachine(version),
    setting: { rounds, 'seconds each': seconds, writers, 'events a transaction': batch, entries },
    measures: [
      ...writingMeasures(perRound),
      ...latencyMeasures('receipt, at half that load', receipts),
      ...latencyMeasures('receipt, at half that load, after a database’s checkpoint', receiptsOverCheckpoints),
      ...verifyMeasures(verifiedSmall, verified),
      ...latencyMeasures('proof of a random entry', [proofs]),
      ...taken.measures(),
      ...othersMeasure(others()),
    ],
  };
}

interface Round {
  /** Events a second. */
  readonly append: number;
  readonly plain: number;
  /** Milliseconds. */
  readonly lags: readonly number[];
  /** Seconds of processor for an event: of the broker’s process, and of PostgreSQL where the system tells. */
  readonly broker: number;
  readonly postgres: number | null;
}

/** What PostgreSQL has used so far: all below this process but the broker. */
function postgresSeconds(pid: number): number | null {
  const [broker, all] = [processorSeconds(pid), processorSeconds(process.pid)];
  return broker && all && all.below - broker.own;
}

function writingMeasures(perRound: readonly Round[]): Measure[] {
  const [append, plain] = [perRound.map((round) => round.append), perRound.map((round) => round.plain)];
  const ratios = perRound.map((round) => round.append / round.plain);
  const each = (name: string, values: readonly number[]): Measure[] =>
    values.length === 0 ? [] : [{ name, value: median(values), unit: 'µs', digits: 0, range: range(values) }];
  return [
    {
      name: 'events, appended and in a checkpoint',
      value: median(append),
      unit: '/s',
      digits: 0,
      range: range(append),
      bar: { atLeast: 10_000 },
    },
    { name: 'the same in a plain table', value: median(plain), unit: '/s', digits: 0, range: range(plain) },
    { name: 'ratio', value: median(ratios), unit: '', digits: 2, range: range(ratios) },
    ...each(
      'processor time of the broker, an event',
      perRound.map((round) => round.broker * 1e6),
    ),
    ...each(
      'processor time of PostgreSQL, an event',
      perRound.flatMap(({ postgres }) => (postgres === null ? [] : [postgres * 1e6])),
    ),
    ...latencyMeasures(
      'commit to checkpoint, at that load',
      perRound.map(({ lags }) => lags),
      150,
    ),
  ];
}

function verifyMeasures(small: readonly VerifyRun[], runs: readonly VerifyRun[]): Measure[] {
  const [seconds, peaks] = [runs.map((run) => run.seconds), runs.map((run) => run.peak)];
  const processor = runs.flatMap((run) => run.processor ?? []);
  const flat = median(peaks) / median(small.map(({ peak }) => peak));
  return [
    {
      name: '`ledger verify` of all entries',
      value: median(seconds),
      unit: 's',
      digits: 1,
      range: range(seconds),
      bar: { atMost: 15 },
    },
    ...(processor.length === 0
      ? []
      : [{ name: 'its processor time', value: median(processor), unit: 's', digits: 1, range: range(processor) }]),
    { name: 'its memory at most', value: median(peaks), unit: 'MB', digits: 0, range: range(peaks) },
    { name: 'that memory against a quarter of the entries', value: flat, unit: '', digits: 2, bar: { atMost: 1.2 } },
  ];
}
