import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { withClient } from '../src/development/postgres-roles.ts';
import { newId, type DeviceId, type GrantId, type TenantId } from '../src/domain/ids.ts';
import { newEngineerKey } from '../test/support/engineer.ts';
import { startTestIssuer } from '../test/support/issuer.ts';
import { insertDevices } from './agents/enrol.ts';
import { postgresVersion, settle, urlsOf } from './database.ts';
import { brokerConfig, freePort, startBrokerProcess } from './lifecycle/broker-process.ts';
import { openConnection } from './lifecycle/connection.ts';
import { pick } from './lifecycle/steps.ts';
import { makeWorld, type Caller } from './lifecycle/world.ts';
import { thisMachine } from './machine.ts';
import type { BenchOptions } from './main.ts';
import { watchOthers } from './processes.ts';
import { latencyMeasures, othersMeasure, secondsOfRounds, type Report } from './report.ts';
import { openRounds } from './rounds.ts';
import { scratchDirectory } from './scratch.ts';

const grants = 100_000;
const devices = 10_000;
const mostRounds = 3;
/** Grants written in one statement. */
const batch = 5_000;
/** How long writing all of them down may take, in milliseconds. */
const preparation = 60_000;
/** Credentials that are asked for in a second, of grants that are over. */
const triesPerSecond = 20;

/** One grant that ends, and who has it where. */
interface Ending {
  readonly id: GrantId;
  readonly holder: Caller;
  readonly device: DeviceId;
}

interface Round {
  /** Seconds from the end of the second in which all ended until each end was committed, and in a checkpoint. */
  readonly recorded: number;
  readonly signed: number;
  /** Credentials that were issued after the second. */
  readonly issued: number;
  /** Milliseconds that each refusal of a credential took meanwhile. */
  readonly refusals: readonly number[];
}

/**
 * A hundred thousand grants that end in the same second: how soon one broker has recorded it of each, and that none gives
 * access any more while it does.
 */
export async function benchEndings({ rounds: wanted, profile, progress }: BenchOptions): Promise<Report> {
  const rounds = Math.min(wanted, mostRounds);
  const taken = openRounds({ rounds, progress });
  const scratch = scratchDirectory();
  const issuer = await startTestIssuer();
  const config = brokerConfig(scratch.path, await freePort(), issuer.config);
  const undo: (() => Promise<void> | void)[] = [() => scratch.remove(), () => issuer.stop()];
  try {
    progress('making a database');
    const broker = await startBrokerProcess(scratch.path, config, { profile });
    undo.push(() => broker.stop());
    const world = await makeWorld(config.publicUrl, issuer, 1);
    const { admin, app } = urlsOf(scratch.path);
    const rooms = await insertDevices(admin, world.tenant, devices, 0);
    const others = watchOthers();
    const perRound = await taken.take(async (round): Promise<Round> => {
      const second = Math.ceil((Date.now() + preparation) / 1_000) * 1_000;
      const endings = Array.from({ length: grants }, (_, place) => ({
        id: newId('grant', second - 600_000),
        holder: pick(world.engineers),
        device: rooms[place % devices]!.id,
      }));
      progress(`round ${round}: writing down ${grants.toLocaleString('en-GB')} grants`);
      await withClient(admin, (client) => writeGrants(client, world.tenant, endings, new Date(second)));
      await settle(admin);
      if (Date.now() > second - 2_000) throw new Error('writing the grants down took longer than they were to last');
      const watched = await watchEndings(config.publicUrl, app, endings, second + 1_000);
      const { recorded, signed } = watched;
      progress(`round ${round}: recorded after ${recorded.toFixed(1)} s, in the ledger after ${signed.toFixed(1)} s`);
      return watched;
    });
    const refusals = perRound.map((round) => round.refusals);
    return {
      benchmark: 'endings',
      machine: thisMachine(await postgresVersion(app)),
      setting: { rounds, grants, devices },
      measures: [
        secondsOfRounds(
          'from the last end until all are recorded',
          perRound.map(({ recorded }) => recorded),
          5,
        ),
        secondsOfRounds(
          'and until a checkpoint covers them',
          perRound.map(({ signed }) => signed),
        ),
        {
          name: 'credentials issued after the end, of those asked for',
          value: perRound.reduce((sum, { issued }) => sum + issued, 0),
          unit: '',
          digits: 0,
          bar: { atMost: 0 },
        },
        { name: 'credentials asked for', value: refusals.flat().length, unit: '', digits: 0 },
        ...latencyMeasures('a refusal meanwhile', refusals),
        ...taken.measures(),
        ...othersMeasure(others()),
      ],
    };
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

/** Writes grants straight into the bench's own database: making them one by one is not what is measured here. */
async function writeGrants(client: Client, tenant: TenantId, endings: readonly Ending[], second: Date): Promise<void> {
  for (let from = 0; from < endings.length; from += batch) {
    const some = endings.slice(from, from + batch);
    const at = second.getTime();
    await client.query(
      `WITH given AS (
         SELECT grt, req, person, device, $6::timestamptz + place * interval '1 second' / $7 AS ends
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS of (grt, req, person, device, n),
           LATERAL (SELECT $8 + n - 1) AS at (place)
       ), asked AS (
         INSERT INTO requests (id, state, requester, tenant, profile, devices, scopes, data_classes, duration, longest,
           longest_total, stages, reason, created_at, lapses_at, decided_at, grant_id, policy_digest)
         SELECT req, 'granted', person, $5, 'remediate', ARRAY[device], '{device.inspect}', '{}', 600, 3600, 7200, '[]',
           '', ends - interval '10 minutes', ends, ends - interval '10 minutes', grt, '' FROM given
       ), made AS (
         INSERT INTO grants (id, request, person, tenant, profile, scopes, duration, starts_at, expires_at, started_at)
         SELECT grt, req, person, $5, 'remediate', '{device.inspect}', 600, ends - interval '10 minutes', ends,
           ends - interval '10 minutes' FROM given
       )
       INSERT INTO grant_devices (grant_id, device, position, expires_at) SELECT grt, device, 1, ends FROM given`,
      [
        some.map(({ id }) => id),
        some.map(() => newId('request', at)),
        some.map(({ holder }) => holder.id),
        some.map(({ device }) => device),
        tenant,
        second,
        endings.length,
        from,
      ],
    );
  }
}

/** @param over when the last of them has ended, in milliseconds. */
async function watchEndings(url: string, app: string, endings: readonly Ending[], over: number): Promise<Round> {
  const trying = new AbortController();
  const watching = withClient(app, async (client) => {
    const since = () => (Date.now() - over) / 1_000;
    await sleep(over - Date.now());
    const remaining = 'SELECT 1 FROM grants WHERE ending IS NULL AND expiry_recorded_at IS NULL LIMIT 1';
    while ((await client.query(remaining)).rowCount) await sleep(20);
    const recorded = since();
    while ((await client.query('SELECT 1 FROM ledger_inbox LIMIT 1')).rowCount) await sleep(20);
    return { recorded, signed: since() };
  }).finally(() => trying.abort());
  const [times, tries] = await Promise.all([watching, tryAll(url, endings, over, trying.signal)]);
  return { ...times, ...tries };
}

/** Asks for credentials of grants that are over, one after the other, whether their end is recorded or not. */
async function tryAll(
  url: string,
  endings: readonly Ending[],
  over: number,
  until: AbortSignal,
): Promise<Pick<Round, 'issued' | 'refusals'>> {
  const key = await newEngineerKey();
  // Not before: a connection that stands still for long is closed.
  await sleep(over - Date.now());
  const connection = await openConnection(url);
  const refusals: number[] = [];
  let issued = 0;
  try {
    for (let due = over; !until.aborted; due += 1_000 / triesPerSecond) {
      await sleep(Math.max(0, due - Date.now()));
      const { id, holder, device } = pick(endings);
      const path = `/v1/grants/${id}/credentials`;
      const dpop = await key.proof('POST', url + path);
      const began = performance.now();
      const { status } = await connection.call(
        'POST',
        path,
        { authorization: `Bearer ${holder.token}`, dpop },
        { device },
      );
      if (status === 201) issued += 1;
      else if (status === 409) refusals.push(performance.now() - began);
      else throw new Error(`${path} answered ${status}`);
    }
  } finally {
    connection.close();
  }
  return { issued, refusals };
}
