import { setTimeout as sleep } from 'node:timers/promises';
import { startTestIssuer } from '../test/support/issuer.ts';
import { postgresVersion, urlsOf } from './database.ts';
import { brokerConfig, freePort, startBrokerProcess } from './lifecycle/broker-process.ts';
import { startFloor, takeTurns } from './lifecycle/floor-process.ts';
import { runClosed, runOpen, type Latencies } from './lifecycle/load.ts';
import { processorSeconds, residentMegabytes, watchOthers } from './processes.ts';
import { createSteps, readKeyIds } from './lifecycle/steps.ts';
import { makeWorld } from './lifecycle/world.ts';
import { thisMachine } from './machine.ts';
import type { BenchOptions } from './main.ts';
import { othersMeasure, type Measure, type Report } from './report.ts';
import { openRounds } from './rounds.ts';
import { scratchDirectory } from './scratch.ts';
import { median, quantile, range } from './statistics.ts';

const starts = 3;
const settle = 3_000;

/**
 * One broker with its PostgreSQL, both as `serve` runs them, under the load of whole lifecycles from this process;
 * and the floor, in turn with it on the same database.
 */
export async function benchLifecycle(options: BenchOptions): Promise<Report> {
  const { seconds, rounds, devices, concurrency, profile, progress } = options;
  const scratch = scratchDirectory();
  const issuer = await startTestIssuer();
  const config = brokerConfig(scratch.path, await freePort(), issuer.config);
  const undo: (() => Promise<void> | void)[] = [() => scratch.remove(), () => issuer.stop()];
  try {
    progress('making a database');
    await (await startBrokerProcess(scratch.path, config)).stop();
    const idle = await measureStarts(scratch.path, config, progress);
    const broker = await startBrokerProcess(scratch.path, config, { profile });
    undo.push(() => broker.stop());

    const { publicUrl } = config;
    progress(`enrolling ${devices} devices`);
    const world = await makeWorld(publicUrl, issuer, devices);
    const keyIds = await readKeyIds(publicUrl);
    const steps = createSteps(publicUrl, world, keyIds);
    const databaseUrl = urlsOf(scratch.path).app;
    const floor = await startFloor({ config, databaseUrl, world, keyIds });
    undo.push(() => floor.stop());
    const take = takeTurns(broker, floor);
    progress(`a lifecycle is\n${floor.recorded.replaceAll(/^/gm, '    ')}`);

    progress('warming up');
    await take.broker(() => runClosed(publicUrl, steps, world, { concurrency, seconds: 2 * seconds }));
    await take.floor(() => floor.run({ concurrency, seconds }));
    const others = watchOthers();
    const taken = openRounds(options);
    const perRound = await taken.take(async (round): Promise<Round> => {
      const used = [usage(broker.pid, floor.pid)];
      const ofBroker = await take.broker(() => runClosed(publicUrl, steps, world, { concurrency, seconds }));
      used.push(usage(broker.pid, floor.pid));
      const ofFloor = await take.floor(() => floor.run({ concurrency, seconds }));
      used.push(usage(broker.pid, floor.pid));
      const processor = costs(used, ofBroker * seconds, ofFloor * seconds);
      progress(`round ${round}: broker ${ofBroker.toFixed(0)}/s, floor ${ofFloor.toFixed(0)}/s`);
      const rate = { perSecond: ofBroker / 2, seconds };
      const latencies = await take.broker(() => runOpen(publicUrl, steps, world, rate));
      const [ask, decide] = [quantile(latencies.ask, 0.99), quantile(latencies.decide, 0.99)];
      progress(
        `  half of that, arriving at random: p99 of ask ${ask.toFixed(1)} ms, of decide ${decide.toFixed(1)} ms`,
      );
      const bare = await take.floor(() => floor.runOpen(rate));
      return { broker: ofBroker, floor: ofFloor, processor, latencies, bare };
    });
    return {
      benchmark: 'lifecycle',
      machine: thisMachine(await postgresVersion(databaseUrl)),
      setting: {
        rounds,
        'seconds each': seconds,
        'in flight': concurrency,
        devices,
        people: world.engineers.length + world.leads.length,
      },
      measures: [
        ...throughput(perRound),
        ...latencyMeasures(perRound.map(({ latencies }) => latencies)),
        ...bareLatencies(perRound.map(({ bare }) => bare)),
        ...idle,
        ...taken.measures(),
        ...othersMeasure(others()),
      ],
    };
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

interface Round {
  /** Lifecycles a second. */
  readonly broker: number;
  readonly floor: number;
  readonly processor: Costs | null;
  /** At half of what the broker did in this round: the machine may be quicker or slower in the next. */
  readonly latencies: Latencies;
  readonly bare: Latencies;
}

/** Seconds of processor used so far. */
interface Usage {
  readonly load: number;
  readonly broker: number;
  readonly postgres: number;
  readonly floor: number;
}

/** Seconds of processor for a lifecycle, by who uses them. */
interface Costs extends Usage {
  readonly postgresUnderFloor: number;
}

function usage(broker: number, floor: number): Usage | null {
  const [ofBroker, ofFloor] = [processorSeconds(broker), processorSeconds(floor)];
  const { user, system } = process.cpuUsage();
  if (!ofBroker || !ofFloor) return null;
  return { load: (user + system) / 1e6, broker: ofBroker.own, postgres: ofBroker.below, floor: ofFloor.own };
}

function costs(used: readonly (Usage | null)[], byBroker: number, byFloor: number): Costs | null {
  const [before, between, after] = used;
  if (!before || !between || !after) return null;
  return {
    load: (between.load - before.load) / byBroker,
    broker: (between.broker - before.broker) / byBroker,
    postgres: (between.postgres - before.postgres) / byBroker,
    floor: (after.floor - between.floor) / byFloor,
    postgresUnderFloor: (after.postgres - between.postgres) / byFloor,
  };
}

function throughput(perRound: readonly Round[]): Measure[] {
  const [broker, floor] = [perRound.map((each) => each.broker), perRound.map((each) => each.floor)];
  const ratios = perRound.map((each) => each.broker / each.floor);
  return [
    { name: 'whole lifecycles, broker', value: median(broker), unit: '/s', digits: 0, range: range(broker) },
    { name: 'their SQL and signatures, bare', value: median(floor), unit: '/s', digits: 0, range: range(floor) },
    { name: 'ratio', value: median(ratios), unit: '', digits: 2, range: range(ratios), bar: { atLeast: 0.5 } },
    ...processorTime(perRound),
  ];
}

function processorTime(perRound: readonly Round[]): Measure[] {
  const used = perRound.flatMap(({ processor }) => (processor ? [processor] : []));
  if (used.length === 0) return [];
  const millis = (name: string, of: readonly number[]): Measure => {
    const values = of.map((seconds) => seconds * 1_000);
    return {
      name: `processor time of ${name}, each`,
      value: median(values),
      unit: 'ms',
      digits: 2,
      range: range(values),
    };
  };
  return [
    millis(
      'the broker',
      used.map(({ broker }) => broker),
    ),
    millis(
      'PostgreSQL',
      used.map(({ postgres }) => postgres),
    ),
    millis(
      'the load',
      used.map(({ load }) => load),
    ),
    millis(
      'the floor',
      used.map(({ floor }) => floor),
    ),
    millis(
      'PostgreSQL under the floor',
      used.map(({ postgresUnderFloor }) => postgresUnderFloor),
    ),
  ];
}

const worst = { ask: 25, decide: 25, mint: 100 } as const;

function latencyMeasures(slices: readonly Latencies[]): Measure[] {
  return (['ask', 'decide', 'mint'] as const).flatMap((step) => {
    const all = slices.flatMap((slice) => slice[step]);
    const name = step === 'mint' ? 'credential' : step;
    return ([0.5, 0.99] as const).map((q) => ({
      name: `${name}, p${q * 100}, at half that load`,
      value: quantile(all, q),
      unit: 'ms',
      digits: 1,
      range: range(slices.map((slice) => quantile(slice[step], q))),
      ...(q === 0.99 && { bar: { atMost: worst[step] } }),
    }));
  });
}

/** What is left of the slowest calls when the database is all there is: no bar, but what a bar can be held against. */
function bareLatencies(slices: readonly Latencies[]): Measure[] {
  return (['ask', 'decide', 'mint'] as const).map((step) => ({
    name: `${step === 'mint' ? 'credential' : step}, p99, its transaction alone at that rate`,
    value: quantile(
      slices.flatMap((slice) => slice[step]),
      0.99,
    ),
    unit: 'ms',
    digits: 1,
    range: range(slices.map((slice) => quantile(slice[step], 0.99))),
  }));
}

/** How soon a broker on an existing database is ready, and what it holds in memory once it has nothing to do. */
async function measureStarts(
  directory: string,
  config: ReturnType<typeof brokerConfig>,
  progress: BenchOptions['progress'],
): Promise<Measure[]> {
  const ready: number[] = [];
  const memory: number[] = [];
  for (let start = 1; start <= starts; start++) {
    const broker = await startBrokerProcess(directory, config);
    await sleep(settle);
    ready.push(broker.readySeconds);
    memory.push(residentMegabytes(broker.pid));
    progress(`start ${start}: ready after ${ready.at(-1)!.toFixed(2)} s, ${memory.at(-1)!.toFixed(0)} MB`);
    await broker.stop();
  }
  return [
    { name: 'ready after start', value: median(ready), unit: 's', digits: 2, range: range(ready), bar: { atMost: 3 } },
    { name: 'memory, idle', value: median(memory), unit: 'MB', digits: 0, range: range(memory), bar: { atMost: 150 } },
  ];
}
