import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Client } from 'pg';
import { listEntries, type EntryFilter } from '../../src/store/ledger-listing.ts';
import { readEntries } from '../../src/store/ledger.ts';
import { openPool, type Pool } from '../../src/store/pool.ts';
import type { Tx } from '../../src/store/transaction.ts';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { connect } from '../support/sql.ts';
import { explain, recording } from './explain.ts';
import { nth } from './full-database.ts';

const size = 120_000;
/** Nothing lies in the month before, for which there may be no partition. */
const start = Date.now() + 60_000;
/** Entries are a minute apart, so they fill some eighty days; times go back and forth by up to half a minute. */
const timeOf = (position: number): Date => new Date(start + position * 60_000 + ((position * 7_919) % 60_000) - 30_000);

/** Tenant 1 has nearly everything, tenant 3 one in ten thousand; one entry in thirty thousand is of a rare type. */
const tenantOf = (position: number): number | null =>
  position % 10_000 === 17 ? 3 : position % 100 === 3 ? 2 : position % 100 === 4 ? null : 1;
const typeOf = (position: number): string =>
  position % 30_000 === 29_999 ? 'person.erased' : position % 2 === 0 ? 'request.submitted' : 'grant.started';
const personOf = (position: number): number => (position % 997 === 0 ? 8 : 7);

const history = `
  CREATE FUNCTION pg_temp.nth(prefix text, n bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT prefix || '_' || lpad(n::text, 26, '0') $$;
  CREATE FUNCTION pg_temp.uuid_of(id text) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS $$ SELECT lpad(right(id, 1), 32, '0')::uuid $$;
  SET session_replication_role = 'replica';
  SET synchronous_commit = off;
  INSERT INTO tenants (id, slug, name, region)
    SELECT pg_temp.nth('ten', n), 'tenant-' || n, 'Tenant', 'EU' FROM generate_series(1, 4) n;
  CREATE TEMPORARY TABLE made AS SELECT n AS position, pg_temp.nth('evt', n) AS id,
    timestamptz 'epoch' + (${start} + n * 60000 + n * 7919 % 60000 - 30000) * interval '1 millisecond' AS at,
    CASE WHEN n % 30000 = 29999 THEN 'person.erased' WHEN n % 2 = 0 THEN 'request.submitted' ELSE 'grant.started' END AS type,
    CASE WHEN n % 10000 = 17 THEN pg_temp.nth('ten', 3) WHEN n % 100 = 3 THEN pg_temp.nth('ten', 2)
      WHEN n % 100 = 4 THEN NULL ELSE pg_temp.nth('ten', 1) END AS tenant,
    pg_temp.nth('per', CASE WHEN n % 997 = 0 THEN 8 ELSE 7 END) AS person
    FROM generate_series(0::bigint, ${size} - 1) n;
  INSERT INTO audit_events (id, at, type, tenant, bytes)
    SELECT id, at, type, tenant, convert_to(json_build_array(tenant, person)::text, 'UTF8') FROM made;
  INSERT INTO ledger_entries (position, event, at) SELECT position, id, at FROM made;
  INSERT INTO ledger_subjects (subject, position)
    SELECT pg_temp.uuid_of(tenant), position FROM made WHERE tenant IS NOT NULL
    UNION ALL SELECT pg_temp.uuid_of(person), position FROM made;
  UPDATE ledger_indexed SET size = ${size};
  SET session_replication_role = 'origin';
`;

let database: TestDatabase;
let client: Client;
let pool: Pool;
before(async () => {
  database = await newTestDatabase();
  client = await connect(database.superuserUrl);
  // The partitions of this month and the next three are there; the last month may be cut short.
  await client.query(history);
  await client.query('VACUUM ANALYZE');
  pool = openPool({ url: database.appUrl, size: 4 });
});
after(async () => {
  await pool.end();
  await client.end();
  await database.drop();
});

const everything: EntryFilter = { slugs: null, subject: null, types: null, tenant: null, after: null, before: null };

/** All that is listed, page by page, and how many pages that took. */
async function listAll(filter: EntryFilter, limit = 1_000, from = 0): Promise<{ positions: number[]; pages: number }> {
  const positions: number[] = [];
  let pages = 0;
  for (let next: number | null = from; next !== null; pages++) {
    const page = await listEntries(pool, filter, { from: next, limit, size });
    assert.ok(page.entries.length <= limit);
    assert.ok(page.next === null || page.next > next, 'it goes on');
    positions.push(...page.entries.map(({ position }) => position));
    next = page.next;
  }
  return { positions, pages };
}

function expected({ slugs, subject, types, tenant, after, before }: EntryFilter): number[] {
  const isOf = (position: number): boolean => {
    const [of, at] = [tenantOf(position), timeOf(position)];
    return (
      (slugs === null || (of !== null && slugs.includes(`tenant-${of}`))) &&
      (tenant === null || tenant === `tenant-${of}` || tenant === nth('ten', of ?? 0)) &&
      (types === null || types.includes(typeOf(position))) &&
      (subject === null || subject === nth('per', personOf(position)) || (of !== null && subject === nth('ten', of))) &&
      (after === null || at >= after) &&
      (before === null || at < before)
    );
  };
  return Array.from({ length: size }, (_, position) => position).filter(isOf);
}

describe('entries are listed just as they fit, page by page', () => {
  const [early, late] = [timeOf(40_000), timeOf(40_700)];
  const filters: Record<string, Partial<EntryFilter>> = {
    'of a person': { subject: nth('per', 8) },
    'of a tenant, by slug': { tenant: 'tenant-2' },
    'of a tenant, by id': { tenant: nth('ten', 3) },
    'of a tenant, as a subject': { subject: nth('ten', 3) },
    'of something of another kind with the UUID of a tenant': { subject: nth('dev', 3) },
    'of a tenant with nothing': { tenant: 'tenant-4' },
    'of a tenant that is none': { tenant: 'nowhere' },
    'for whoever sees two tenants': { slugs: ['tenant-2', 'tenant-3'] },
    'for whoever sees one tenant and asks for another': { slugs: ['tenant-2'], tenant: 'tenant-1' },
    'for whoever sees none': { slugs: [] },
    'of a person, for whoever sees one tenant': { slugs: ['tenant-2'], subject: nth('per', 8) },
    'of a rare type': { types: ['person.erased'] },
    'of a rare type and of one that is not there': { types: ['person.erased', 'tenant.changed'] },
    'of a rare type, of a tenant': { tenant: 'tenant-1', types: ['person.erased'] },
    'after a moment, of a rare type': { after: early, types: ['person.erased'] },
    'between two moments': { after: early, before: late },
    'between two moments, of a tenant': { after: early, before: late, tenant: 'tenant-2' },
    'between two moments, of a person': { after: early, before: late, subject: nth('per', 8) },
    'before all': { before: new Date(start - 3_600_000) },
    'after all': { after: timeOf(size + 10) },
    'between two moments the wrong way round': { after: late, before: early },
  };
  for (const [name, filter] of Object.entries(filters)) {
    test(name, async () => {
      const whole = { ...everything, ...filter };
      const wanted = expected(whole);
      for (const indexed of [size, size - 15_000, 0]) {
        await client.query('UPDATE ledger_indexed SET size = $1', [indexed]);
        // What is beyond has not been noted yet.
        const noted = `${indexed} are noted`;
        assert.deepEqual((await listAll(whole)).positions, wanted, noted);
        if (wanted.length < 500) assert.deepEqual((await listAll(whole, 7)).positions, wanted, noted);
      }
      await client.query('UPDATE ledger_indexed SET size = $1', [size]);
    });
  }

  test('from a position on', async () => {
    const filter = { ...everything, tenant: 'tenant-2' };
    const wanted = expected(filter).filter((position) => position >= 77_777);
    assert.deepEqual((await listAll(filter, 50, 77_777)).positions, wanted);
  });
});

describe('a page is found without reading the ledger', () => {
  const page = { from: 0, limit: 100, size };
  const reads = (atMost: number, filter: Partial<EntryFilter>, from = 0): Promise<void> =>
    readsIn(atMost, (tx) => listEntries(tx, { ...everything, ...filter }, { ...page, from }));
  const readsIn = async (atMost: number, work: (tx: Tx) => Promise<unknown>): Promise<void> => {
    await client.query('BEGIN');
    try {
      const { tx, statements } = recording(client);
      await work(tx);
      for (const statement of statements) {
        for (const plan of ['custom', 'generic'] as const) {
          const reading = await explain(client, statement, plan);
          const said = `${statement.name}, ${plan} plan:\n  ${reading.scans.join('\n  ')}`;
          assert.deepEqual(reading.wholeTables, [], said);
          assert.ok(reading.rows <= atMost, `read ${reading.rows} rows, not ${atMost}: ${said}`);
        }
      }
    } finally {
      await client.query('ROLLBACK');
    }
  };

  test('of a person, a tenant, or several', async () => {
    await reads(40_000, { subject: nth('per', 7) });
    await reads(2_000, { subject: nth('per', 8) });
    for (const tenant of ['tenant-1', 'tenant-3']) await reads(2_000, { tenant });
    await reads(2_000, { tenant: 'tenant-1' }, size - 5_000);
    await reads(2_000, { slugs: ['tenant-1', 'tenant-2', 'tenant-3'] });
  });

  test('of a time, wherever that is', async () => {
    for (const position of [10, 60_000, size - 200]) {
      await reads(2_000, { after: timeOf(position), before: timeOf(position + 60) });
      await reads(2_000, { after: timeOf(position) });
    }
  });

  test('by its positions', async () => {
    for (const from of [0, 60_000, size - 256]) await readsIn(1_000, (tx) => readEntries(tx, from, 256));
  });

  test('of a rare type, in a bounded number of rows a call', async () => {
    await reads(60_000, { types: ['person.erased'] });
    await reads(80_000, { tenant: 'tenant-1', types: ['person.erased'] });
  });
});
