import { mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { withClient } from '../src/development/postgres-roles.ts';
import { startTestIssuer, type TestIssuer } from '../test/support/issuer.ts';
import { insertDevices } from './agents/enrol.ts';
import type { FleetDevice } from './agents/messages.ts';
import { postgresVersion, settle, urlsOf } from './database.ts';
import { copyLife } from './history/copies.ts';
import { liveOnce } from './history/life.ts';
import { brokerConfig, freePort, startBrokerProcess, type BrokerProcess } from './lifecycle/broker-process.ts';
import { openConnection, type Connection } from './lifecycle/connection.ts';
import { whileItStands } from './lifecycle/floor-process.ts';
import { arriveAtRandom } from './lifecycle/load.ts';
import { anyLifecycle, createSteps, readKeyIds, runLifecycle, type Steps } from './lifecycle/steps.ts';
import { makeWorld, type World } from './lifecycle/world.ts';
import { thisMachine } from './machine.ts';
import type { BenchOptions } from './main.ts';
import { watchOthers } from './processes.ts';
import { latencyMeasures, othersMeasure, type Report } from './report.ts';
import { openRounds } from './rounds.ts';
import { scratchDirectory } from './scratch.ts';
import { median, quantile, range } from './statistics.ts';

const devices = 10_000;
/** Lifecycles that begin in a second: a busy region's, and far from what a broker can do. */
const perSecond = 20;
/** What a life takes on the disk, with the log written ahead of it. */
const bytesOfLife = 50_000;

/**
 * What years of use cost: lifecycles on a database that has a million behind it, with ten events in the ledger each, against
 * the same on an empty one. Each has a broker and a PostgreSQL of its own; who is not measured stands still.
 */
export async function benchHistory(options: BenchOptions): Promise<Report> {
  const { seconds, rounds, history, progress } = options;
  const scratch = scratchDirectory();
  const issuer = await startTestIssuer();
  const undo: (() => Promise<void> | void)[] = [() => scratch.remove(), () => issuer.stop()];
  try {
    const { bavail, bsize } = statfsSync(scratch.path);
    const free = bavail * bsize;
    if (free < history * bytesOfLife) {
      const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(0)} GB`;
      throw new Error(`${gigabytes(history * bytesOfLife)} of the disk are needed, and ${gigabytes(free)} are free`);
    }
    progress('making two databases');
    const empty = await openSide(join(scratch.path, 'empty'), issuer);
    undo.push(() => empty.broker.stop());
    const full = await openSide(join(scratch.path, 'full'), issuer);
    undo.push(() => full.broker.stop());

    const began = performance.now();
    await writeHistory(full, history, progress);
    progress(`written in ${((performance.now() - began) / 1_000).toFixed(0)} s; tidying up`);
    for (const side of [empty, full]) await settle(side.urls.admin);
    const found = await measureSize(full.urls.admin);

    progress('warming up');
    await measure(empty, full, 2 * seconds);
    await measure(full, empty, 2 * seconds);
    const others = watchOthers();
    const taken = openRounds(options);
    const perRound = await taken.take(async (round) => {
      const times = {
        empty: await measure(empty, full, seconds),
        full: await measure(full, empty, seconds),
      };
      progress(
        `round ${round}: p50 ${quantile(times.empty, 0.5).toFixed(1)}, ${quantile(times.full, 0.5).toFixed(1)} ms`,
      );
      return times;
    });
    const ratios = perRound.map((times) => quantile(times.full, 0.5) / quantile(times.empty, 0.5));
    return {
      benchmark: 'history',
      machine: thisMachine(await postgresVersion(full.urls.app)),
      setting: { rounds, 'seconds each': seconds, devices, 'lifecycles a second': perSecond },
      measures: [
        { name: 'grants in the full database', value: found.grants, unit: '', digits: 0 },
        { name: 'events in its ledger', value: found.entries, unit: '', digits: 0 },
        { name: 'its size', value: found.bytes / 1e9, unit: 'GB', digits: 1 },
        ...latencyMeasures(
          'lifecycle, empty database',
          perRound.map((times) => times.empty),
        ),
        ...latencyMeasures(
          'lifecycle, full database',
          perRound.map((times) => times.full),
        ),
        {
          name: 'ratio of p50',
          value: median(ratios),
          unit: '',
          digits: 2,
          range: range(ratios),
          bar: { atMost: 1.2 },
        },
        ...taken.measures(),
        ...othersMeasure(others()),
      ],
    };
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

/** A broker on a database of its own, and who calls it. */
interface Side {
  readonly url: string;
  readonly urls: ReturnType<typeof urlsOf>;
  readonly broker: BrokerProcess;
  readonly world: World;
  readonly steps: Steps;
  readonly rooms: readonly FleetDevice[];
}

async function openSide(directory: string, issuer: TestIssuer): Promise<Side> {
  mkdirSync(directory);
  const config = brokerConfig(directory, await freePort(), issuer.config);
  const { publicUrl: url } = config;
  const broker = await startBrokerProcess(directory, config);
  try {
    const urls = urlsOf(directory);
    const made = await makeWorld(url, issuer, 1);
    const rooms = await insertDevices(urls.admin, made.tenant, devices, 0);
    const world = { ...made, devices: rooms.map(({ id }) => id) };
    return { url, urls, broker, world, steps: createSteps(url, world, await readKeyIds(url)), rooms };
  } catch (error) {
    await broker.stop();
    throw error;
  }
}

async function writeHistory(
  { url, urls, world, steps, rooms }: Side,
  count: number,
  progress: (message: string) => void,
) {
  const { engineers, leads } = world;
  const [engineer, lead, device] = [engineers[0]!, leads[0]!, rooms[0]!];
  const { id } = await liveOnce(url, steps, { engineer, lead, device });
  const idOf = (each: { readonly id: string }): string => each.id;
  let told = 0;
  await copyLife(urls.admin, id, {
    cast: new Map<string, string[]>([
      [engineer.id, engineers.map(idOf)],
      [lead.id, leads.map(idOf)],
      [device.id, rooms.map(idOf)],
    ]),
    count,
    progress(done) {
      if (done - told < count / 10) return;
      told = done;
      progress(`${done.toLocaleString('en-GB')} lives of ${count.toLocaleString('en-GB')} written`);
    },
  });
}

function measureSize(
  url: string,
): Promise<{ readonly grants: number; readonly entries: number; readonly bytes: number }> {
  return withClient(url, async (client) => {
    const text = `SELECT (SELECT count(*) FROM grants)::float8 AS grants, size::float8 AS entries,
      pg_database_size(current_database())::float8 AS bytes FROM ledger_state`;
    return (await client.query<{ grants: number; entries: number; bytes: number }>(text)).rows[0]!;
  });
}

/** What each whole lifecycle took that began at a random moment, in milliseconds, while the other side stood still. */
async function measure(side: Side, other: Side, seconds: number): Promise<readonly number[]> {
  const idle: Connection[] = [];
  const slice = (): Promise<number[]> =>
    arriveAtRandom<number[]>(
      { perSecond, seconds },
      () => [],
      async (due, into) => {
        const connection = idle.pop() ?? (await openConnection(side.url));
        await runLifecycle(side.steps, connection, await anyLifecycle(side.world));
        into.push(performance.now() - due);
        idle.push(connection);
      },
    );
  try {
    return await whileItStands(other.broker, slice);
  } finally {
    for (const connection of idle) connection.close();
  }
}
