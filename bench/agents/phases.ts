import { setTimeout as sleep } from 'node:timers/promises';
import { processorSeconds, residentMegabytes } from '../processes.ts';
import { megabytes, seconds, type Measure } from '../report.ts';
import { quantile } from '../statistics.ts';
import { openAccess } from './access.ts';
import { publicUrlOf, startAll, startBrokerOf, type BrokerOfMany } from './brokers.ts';
import type { RunningFleet } from './fleet.ts';
import { revokeAll } from './revoke.ts';
import { settle, type Stage } from './stage.ts';

const cutOffSessions = 20;
/** Milliseconds. */
const watched = 30_000;
const longestList = 60_000;

/** What streams cost while nothing happens: memory, and processor time for the regular statements. */
export async function measureIdle(stage: Stage, size: number, empty: number): Promise<Measure[]> {
  const { pid } = stage.brokers[0]!.process;
  await sleep(settle);
  stage.options.progress(`${size} agents: watching regular statements for ${watched / 1_000} s`);
  const before = [processorSeconds(pid), processorSeconds(stage.postgres)];
  const from = performance.now();
  await sleep(watched);
  const span = (performance.now() - from) / 1_000;
  const after = [processorSeconds(pid), processorSeconds(stage.postgres)];
  const memory = residentMegabytes(pid);
  const share = (place: 0 | 1): Measure[] => {
    const [start, end] = [before[place], after[place]];
    if (!start || !end) return [];
    const used = end.own + end.below - start.own - start.below;
    const name = `processor time of ${place === 0 ? 'the broker' : 'PostgreSQL'}, idle, per 1,000 streams`;
    return [{ name, value: (100 * used) / span / (size / 1_000), unit: '%', digits: 2 }];
  };
  return [
    megabytes('memory of the broker', memory, 400),
    { name: 'memory for each stream', value: ((memory - empty) * 1_000) / size, unit: 'kB', digits: 1 },
    ...share(0),
    ...share(1),
  ];
}

export async function measureRevoking(
  { site, world, brokers, options }: Stage,
  fleet: RunningFleet,
): Promise<Measure[]> {
  const { doors } = await fleet.look();
  const place = { url: brokers.at(-1)!.url, publicUrl: publicUrlOf(site), world };
  options.progress(`opening ${doors.length} sessions`);
  const accesses = await openAccess(place, doors);
  options.progress('revoking their grants, one after the other');
  const ways = await revokeAll(
    brokers.map(({ url }) => url),
    world.leads[0]!,
    accesses,
  );
  const worst = fleet.size > 1_000 ? 500 : 100;
  const latency = (name: string, all: readonly number[]): Measure[] => [
    { name: `${name}, p50`, value: quantile(all, 0.5), unit: 'ms', digits: 1 },
    { name: `${name}, p99`, value: quantile(all, 0.99), unit: 'ms', digits: 1, bar: { atMost: worst } },
    { name: `${name}, longest`, value: Math.max(...all), unit: 'ms', digits: 1 },
  ];
  const others = ways.slice(1).flat();
  return [
    ...latency('revoke → session cut', ways[0]!),
    ...(others.length > 0 ? latency('the same through another broker', others) : []),
  ];
}

/** The first broker is stopped as for an update; a balancer sends its agents to the others. */
export async function measureMoving({ site, brokers, options }: Stage, fleet: RunningFleet): Promise<Measure[]> {
  const [first, ...rest] = brokers as [BrokerOfMany, ...BrokerOfMany[]];
  options.progress('stopping the broker with the streams');
  await fleet.route(rest.map(({ address }) => address));
  await fleet.look(true);
  const from = performance.now();
  await first.process.stop();
  const stopped = (performance.now() - from) / 1_000;
  const moved = await fleet.untilAllOpen(from);
  const { mostShut } = await fleet.look();
  brokers[0] = await startBrokerOf(site, 1, options.profile);
  return [
    seconds('a broker stops, with all streams', stopped, 10),
    seconds('all connected to another', moved),
    { name: 'doors that shut meanwhile, at one time', value: mostShut, unit: '', digits: 0, bar: { atMost: 0 } },
  ];
}

/** All brokers stop and start again; all agents end up on the first. */
export async function measureRestart(
  { site, brokers, options }: Stage,
  fleet: RunningFleet,
  size: number,
): Promise<Measure[]> {
  options.progress('restarting all brokers');
  await fleet.look(true);
  const from = performance.now();
  await Promise.all(brokers.map((broker) => broker.process.stop()));
  await startAll(site, brokers, brokers.length, options.profile);
  const ready = performance.now();
  await fleet.route([brokers[0]!.address]);
  await fleet.untilAllOpen(from, ({ open }) => options.progress(`${open} are back`));
  const [all, sinceReady] = [(performance.now() - from) / 1_000, (performance.now() - ready) / 1_000];
  const { mostShut } = await fleet.look();
  await sleep(settle);
  return [
    seconds('all brokers restarted, last agent back since they stopped', all),
    seconds('the same, since they are ready', sinceReady),
    { name: 'doors that shut meanwhile, at one time', value: mostShut, unit: '', digits: 0 },
    megabytes('memory of the broker after that', residentMegabytes(brokers[0]!.process.pid), size > 1_000 ? 400 : null),
  ];
}

/** Every broker stands still, its connections open: nothing is refused, nothing is said. */
export async function measureCutOff({ site, world, brokers, options }: Stage, fleet: RunningFleet): Promise<Measure[]> {
  const { doors } = await fleet.look();
  const place = { url: brokers.at(-1)!.url, publicUrl: publicUrlOf(site), world };
  const accesses = await openAccess(place, doors.slice(0, cutOffSessions));
  options.progress('all brokers stand still: a minute until every door has shut');
  const from = performance.now();
  for (const broker of brokers) broker.process.signal('SIGSTOP');
  try {
    const cuts = await Promise.race([
      Promise.all(accesses.map(({ cut }) => cut)),
      sleep(longestList + 15_000).then(() => {
        throw new Error('sessions go on without a broker');
      }),
    ]);
    const wrong = cuts.find(({ ended }) => ended !== 'stale-live-grants');
    if (wrong) throw new Error(`a session ended otherwise: \`${wrong.ended}\``);
    const longest = Math.max(...cuts.map(({ at }) => at)) - from;
    await sleep(2_000);
    const { shut } = await fleet.look();
    for (const broker of brokers) broker.process.signal('SIGCONT');
    const goingOn = performance.now();
    const back = await fleet.untilAllOpen(goingOn, ({ open }) => options.progress(`${open} are back`));
    await sleep(settle);
    return [
      seconds('cut off: last session shut after', longest / 1_000, 60),
      { name: 'cut off: doors shut then', value: shut, unit: '', digits: 0, bar: { atLeast: fleet.size } },
      seconds('brokers go on: last agent back', back),
      megabytes('memory of the broker after that', residentMegabytes(brokers[0]!.process.pid), 400),
    ];
  } finally {
    for (const broker of brokers) broker.process.signal('SIGCONT');
  }
}
