import { withClient } from '../src/development/postgres-roles.ts';
import { startTestIssuer } from '../test/support/issuer.ts';
import { settle, urlsOf } from './database.ts';
import { filling, withWriting, type WritableLedger } from './ledger/writing.ts';
import { brokerConfig, freePort, startBrokerProcess } from './lifecycle/broker-process.ts';
import { runClosed } from './lifecycle/load.ts';
import { createSteps, readKeyIds } from './lifecycle/steps.ts';
import { makeWorld } from './lifecycle/world.ts';
import { thisMachine } from './machine.ts';
import type { BenchOptions } from './main.ts';
import type { Measure, Report } from './report.ts';
import { scratchDirectory } from './scratch.ts';

/** Devices of the lifecycles, and entries at the most: more make nothing about a row different. */
const devices = 100;
const mostEntries = 400_000;
/** What is forgotten by itself, and so grows with the pace and not with the years. */
const passing = new Set(['ledger_inbox', 'used_proofs', 'idempotent_answers', 'enrolment_codes']);

/**
 * What things take in the database: of an entry of the ledger, and of a whole lifecycle. Each is what the tables grew by
 * between two moments, so that what a table has when it is empty does not count.
 */
export async function benchSizes(options: BenchOptions): Promise<Report> {
  const entries = Math.min(options.entries, mostEntries);
  const { progress } = options;
  const ofEntries = await withWriting(progress, (ledger) => measureEntries(entries, progress, ledger));
  const ofLifecycles = await measureLifecycles(options);
  return {
    benchmark: 'sizes',
    machine: thisMachine(ofEntries.version),
    setting: { entries, lifecycles: ofLifecycles.count },
    measures: [...ofEntries.measures, ...ofLifecycles.measures],
  };
}

async function measureEntries(
  entries: number,
  progress: BenchOptions['progress'],
  { postgres, version, broker }: WritableLedger,
): Promise<{ readonly version: string; readonly measures: Measure[] }> {
  const fillTo = async (size: number): Promise<Sizes> => {
    progress(`filling the ledger to ${size.toLocaleString('en-GB')} entries`);
    await broker.run('fill', { ...filling, size });
    await settle(postgres.adminUrl);
    return readSizes(postgres.adminUrl);
  };
  const grown = difference(await fillTo(Math.ceil(entries / 4)), await fillTo(entries));
  const each = (name: string): Measure[] => measuresOf(`an entry: ${name}`, grown, name, grown.entries);
  return {
    version,
    measures: [
      bytes('an entry: its own bytes', grown.bytes / grown.entries),
      ...['audit_events', 'ledger_entries', 'ledger_subjects', 'ledger_tiles'].flatMap(each),
      { name: 'an entry: rows of ledger_subjects', value: grown.subjects / grown.entries, unit: '', digits: 2 },
      bytes('an entry: log written ahead (WAL)', grown.wal / grown.entries),
    ],
  };
}

async function measureLifecycles(options: BenchOptions): Promise<{ count: number; measures: Measure[] }> {
  const { seconds, rounds, concurrency, progress } = options;
  const scratch = scratchDirectory();
  const issuer = await startTestIssuer();
  const config = brokerConfig(scratch.path, await freePort(), issuer.config);
  const undo: (() => Promise<void> | void)[] = [() => scratch.remove(), () => issuer.stop()];
  try {
    const broker = await startBrokerProcess(scratch.path, config);
    undo.push(() => broker.stop());
    progress(`enrolling ${devices} devices`);
    const world = await makeWorld(config.publicUrl, issuer, devices);
    const steps = createSteps(config.publicUrl, world, await readKeyIds(config.publicUrl));
    const { admin } = urlsOf(scratch.path);
    const live = async (share: number): Promise<Sizes> => {
      await runClosed(config.publicUrl, steps, world, { concurrency, seconds: seconds * share });
      return readSizes(admin);
    };
    progress(`lifecycles, for ${seconds * (rounds + 2)} s`);
    const grown = difference(await live(2), await live(rounds));
    const count = grown.grants;
    const tables = [...grown.tables].filter(([, size]) => size.table + size.indexes > 0).map(([name]) => name);
    return {
      count,
      measures: [
        { name: 'a lifecycle: entries of the ledger', value: grown.entries / count, unit: '', digits: 2 },
        ...tables
          .filter((name) => !/^(audit_events|ledger_)/.test(name))
          .flatMap((name) =>
            measuresOf(`a lifecycle: ${name}${passing.has(name) ? ', for a while' : ''}`, grown, name, count),
          ),
        bytes('a lifecycle: log written ahead (WAL)', grown.wal / count),
      ],
    };
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

interface Sizes {
  readonly entries: number;
  readonly grants: number;
  readonly subjects: number;
  /** Of all entries together. */
  readonly bytes: number;
  /** How far the log that is written ahead has come. */
  readonly wal: number;
  readonly tables: ReadonlyMap<string, { readonly table: number; readonly indexes: number }>;
}

function readSizes(url: string): Promise<Sizes> {
  return withClient(url, async (client) => {
    const counted = await client.query<Record<'entries' | 'grants' | 'subjects' | 'bytes' | 'wal', string>>(
      `SELECT (SELECT size FROM ledger_state) AS entries, (SELECT count(*) FROM grants) AS grants,
         (SELECT count(*) FROM ledger_subjects) AS subjects,
         (SELECT sum(octet_length(bytes)) FROM audit_events) AS bytes,
         pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS wal`,
    );
    // Partitions count for the table whose parts they are.
    const { rows } = await client.query<{ name: string; size: string; indexes: string }>(
      `SELECT coalesce(parent.relname, c.relname) AS name, sum(pg_table_size(c.oid)) AS size,
         sum(pg_indexes_size(c.oid)) AS indexes
       FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class parent ON parent.oid = i.inhparent
       WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY 1 ORDER BY 1`,
    );
    const { entries, grants, subjects, bytes: all, wal } = counted.rows[0]!;
    return {
      entries: Number(entries),
      grants: Number(grants),
      subjects: Number(subjects),
      bytes: Number(all),
      wal: Number(wal),
      tables: new Map(rows.map(({ name, size, indexes }) => [name, { table: Number(size), indexes: Number(indexes) }])),
    };
  });
}

function difference(before: Sizes, after: Sizes): Sizes {
  const tables = [...after.tables].map(([name, { table, indexes }]) => {
    const had = before.tables.get(name) ?? { table: 0, indexes: 0 };
    return [name, { table: table - had.table, indexes: indexes - had.indexes }] as const;
  });
  return {
    entries: after.entries - before.entries,
    grants: after.grants - before.grants,
    subjects: after.subjects - before.subjects,
    bytes: after.bytes - before.bytes,
    wal: after.wal - before.wal,
    tables: new Map(tables),
  };
}

function measuresOf(what: string, grown: Sizes, name: string, count: number): Measure[] {
  const { table, indexes } = grown.tables.get(name) ?? { table: 0, indexes: 0 };
  return [bytes(what, table / count), bytes(`${what}, its indexes`, indexes / count)];
}

function bytes(name: string, value: number): Measure {
  return { name, value, unit: 'B', digits: 0 };
}
