import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../src/development/embedded-postgres.ts';
import { migrate } from '../src/store/migrate.ts';
import { startTestIssuer } from '../test/support/issuer.ts';
import { publicUrlOf, requireOpenFiles, startAll, type BrokerOfMany, type Site } from './agents/brokers.ts';
import { insertDevices } from './agents/enrol.ts';
import { startFleet } from './agents/fleet.ts';
import { measureCutOff, measureIdle, measureMoving, measureRestart, measureRevoking } from './agents/phases.ts';
import { sessions, settle, type Stage } from './agents/stage.ts';
import { postgresVersion } from './database.ts';
import { freePort } from './lifecycle/broker-process.ts';
import { makeWorld } from './lifecycle/world.ts';
import { thisMachine } from './machine.ts';
import type { BenchOptions } from './main.ts';
import { residentMegabytes, watchOthers } from './processes.ts';
import { othersMeasure, seconds, type Measure, type Report } from './report.ts';
import { scratchDirectory } from './scratch.ts';

/**
 * Thousands of agents, in processes of their own on loopback, connected to brokers that run as `serve` runs: how soon a
 * revocation cuts a session, what streams cost, and what becomes of everybody when brokers move, stop or fall silent.
 * All streams are on the first broker; the others take calls.
 */
export async function benchAgents(options: BenchOptions): Promise<Report> {
  const { agents, brokers: count, progress } = options;
  requireOpenFiles(Math.max(...agents));
  const scratch = scratchDirectory();
  const undo: (() => Promise<void> | void)[] = [() => scratch.remove()];
  try {
    progress('making a database');
    const issuer = await startTestIssuer();
    undo.push(() => issuer.stop());
    const postgres = await startDatabase(scratch.path);
    undo.push(() => postgres.stop());
    const site: Site = {
      directory: scratch.path,
      port: await freePort(),
      provider: issuer.config,
      databaseUrl: postgres.appUrl,
    };
    const brokers: BrokerOfMany[] = [];
    undo.push(async () => void (await Promise.all(brokers.map((broker) => broker.process.stop()))));
    await startAll(site, brokers, count, options.profile);
    const world = await makeWorld(publicUrlOf(site), issuer, 1);
    const stage: Stage = { site, world, brokers, postgres: postgres.pid, options };
    const others = watchOthers();
    const measures: Measure[] = [];
    for (const size of agents) measures.push(...(await runSize(stage, postgres, size, size === agents.at(-1))));
    return {
      benchmark: 'agents',
      machine: thisMachine(await postgresVersion(postgres.adminUrl)),
      setting: { agents: agents.join(' and '), brokers: count, sessions },
      measures: [...measures, ...othersMeasure(others())],
    };
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

async function runSize(stage: Stage, postgres: EmbeddedPostgres, size: number, whole: boolean): Promise<Measure[]> {
  const { site, world, brokers, options } = stage;
  const { progress } = options;
  const named = (measures: readonly Measure[]): Measure[] =>
    measures.map((measure) => ({ ...measure, name: `${size.toLocaleString('en-GB')} agents: ${measure.name}` }));
  progress(`${size} agents: writing them down`);
  const doors = Math.min(sessions, size);
  const devices = await insertDevices(postgres.adminUrl, world.tenant, size, doors);
  const { tenant, ledgerKey } = world;
  const [first] = brokers as [BrokerOfMany];
  const empty = residentMegabytes(first.process.pid);
  const began = performance.now();
  const fleet = await startFleet({ issuer: publicUrlOf(site), tenant, ledgerKey, devices }, [first.address]);
  try {
    const measures: Measure[] = [];
    const cold = await fleet.untilAllOpen(began, ({ open }) => progress(`${size} agents: ${open} are connected`));
    progress(`${size} agents: all are connected after ${cold.toFixed(1)} s`);
    measures.push(seconds('from nothing to all connected', cold));
    measures.push(...(await measureIdle(stage, size, empty)));
    measures.push(...(await measureRevoking(stage, fleet)));
    if (brokers.length > 1) measures.push(...(await measureMoving(stage, fleet)));
    measures.push(...(await measureRestart(stage, fleet, size)));
    if (whole) measures.push(...(await measureCutOff(stage, fleet)));
    return named(measures);
  } finally {
    await fleet.stop();
    await sleep(settle);
  }
}

async function startDatabase(directory: string): Promise<EmbeddedPostgres & { readonly pid: number }> {
  const place = join(directory, 'postgres');
  mkdirSync(place, { recursive: true });
  const postgres = await startEmbeddedPostgres({ directory: place });
  await migrate(postgres.adminUrl);
  return { ...postgres, pid: postmasterOf(place) };
}

/** The first line of its file is the number of its process. */
function postmasterOf(directory: string): number {
  return Number.parseInt(readFileSync(join(directory, 'data', 'postmaster.pid'), 'utf8'), 10);
}
