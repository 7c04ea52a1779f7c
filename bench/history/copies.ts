import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { withClient } from '../../src/development/postgres-roles.ts';

/** Lives written in one transaction. */
const batch = 2_000;
/** With more events than this waiting for the ledger, it is left to catch up. */
const mostWaiting = 40_000;

/** Where a life leaves rows for good, referred to before referring. */
const tables = [
  'requests',
  'decisions',
  'grants',
  'grant_devices',
  'credentials',
  'sessions',
  'device_statements',
  'notices',
  'disclosures',
  'audit_events',
];

/** An id in a life, and whom or what to take instead in its copies. */
export type Cast = ReadonlyMap<string, readonly string[]>;

/**
 * Writes a life that was lived through the API again, as often as wanted: the same rows in the same tables, with ids and
 * hashes of their own, one life after the other, of other people at other devices. Their events go the way of all events: the
 * broker that runs gives them their places. What devices have signed stays as it is.
 * @param grant the life's.
 */
export async function copyLife(
  url: string,
  grant: string,
  { cast, count, progress }: { readonly cast: Cast; readonly count: number; readonly progress: (done: number) => void },
): Promise<void> {
  await withClient(url, async (client) => {
    while ((await client.query('SELECT 1 FROM ledger_inbox LIMIT 1')).rowCount) await sleep(50);
    const rows = await readLife(client, grant);
    const renewed = renewalsOf(rows, cast);
    const statements = rows.map((row) => insertOf(client, row, renewed));
    const events = rows.filter(({ table }) => table === 'audit_events').length;
    const before = (await sizesOf(client)).size;
    const columns = renewed.map(({ column }) => `${column} text`);
    await client.query(`SET synchronous_commit = off; CREATE TEMP TABLE copies (${columns.join(', ')})`);
    for (let done = 0; done < count; done += batch) {
      const last = Math.min(count, done + batch);
      await client.query('BEGIN');
      await client.query('TRUNCATE copies');
      await client.query(
        `INSERT INTO copies SELECT ${renewed.map(({ fresh }) => fresh).join(', ')} FROM generate_series($1::integer, $2) n`,
        [done + 1, last, ...cast.values()],
      );
      for (const statement of statements) await client.query(statement);
      await client.query('COMMIT');
      progress(last);
      while (before + last * events - (await sizesOf(client)).size > mostWaiting) await sleep(50);
    }
    for (;;) {
      const { size, indexed } = await sizesOf(client);
      if (size >= before + count * events && indexed === size) return;
      await sleep(200);
    }
  });
}

/** How many entries the ledger has, and of how many it is noted what they speak of. */
async function sizesOf(client: Client): Promise<{ readonly size: number; readonly indexed: number }> {
  const text = 'SELECT s.size::float8, i.size::float8 AS indexed FROM ledger_state s, ledger_indexed i';
  return (await client.query<{ size: number; indexed: number }>(text)).rows[0]!;
}

/** A row of a table, each value as text. */
interface Row {
  readonly table: string;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly value: string | null }[];
}

const textOf = ({ columns }: Row): string => columns.map(({ value }) => value).join(' ');
/** An event is text, whatever its column is. */
const isEvent = (table: string, column: string): boolean => table === 'audit_events' && column === 'bytes';

/** The rows that belong together with a grant, and the texts that its events commit to. */
async function readLife(client: Client, grant: string): Promise<Row[]> {
  const all: Row[] = [];
  for (const table of tables) all.push(...(await readTable(client, table)));
  const own = new Set([grant]);
  let life: Row[] = [];
  for (let known = 0; known < own.size;) {
    known = own.size;
    life = all.filter((row) => [...own].some((token) => textOf(row).includes(token)));
    for (const text of life.map(textOf)) {
      for (const [id] of text.matchAll(ownIds)) own.add(id);
      for (const [, hash] of text.matchAll(hashes)) own.add(hexOf(hash!));
    }
  }
  return life;
}

async function readTable(client: Client, table: string): Promise<Row[]> {
  const columns = await client.query<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`,
    [table],
  );
  const values = columns.rows.map(({ name }) =>
    isEvent(table, name) ? `convert_from(${name}, 'UTF8') AS ${name}` : `"${name}"::text`,
  );
  // Events in their order; where rows lie in a table says nothing of it.
  const order =
    table === 'audit_events' ? 'ORDER BY (SELECT position FROM ledger_entries e WHERE e.event = audit_events.id)' : '';
  const found = await client.query<Record<string, string | null>>(`SELECT ${values.join(', ')} FROM ${table} ${order}`);
  return found.rows.map((row) => ({
    table,
    columns: columns.rows.map((column) => ({ ...column, value: row[column.name] ?? null })),
  }));
}

/** Ids of what a life makes; people, devices and tenants were there before. */
const ownIds = /\b(?!per|dev|ten)[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}\b/g;
/** SHA-256 as events spell it. */
const hashes = /"([\w-]{43})"/g;

const hexOf = (hash: string): string => Buffer.from(hash, 'base64url').toString('hex');

/** What is another in each copy: how the life spells it, and what is in the place of it. */
interface Renewal {
  readonly old: string;
  readonly column: string;
  readonly fresh: string;
}

function renewalsOf(rows: readonly Row[], cast: Cast): Renewal[] {
  const texts = rows.map(textOf).join(' ');
  const unique = (found: Iterable<string>): string[] => [...new Set(found)];
  const ids = unique(Array.from(texts.matchAll(ownIds), ([id]) => id));
  const hashed = unique(Array.from(texts.matchAll(hashes), ([, hash]) => hash!));
  const hex = (place: number): string => `encode(sha256(convert_to(n || ' ${place}', 'UTF8')), 'hex')`;
  const base64url = (place: number): string =>
    `translate(rtrim(encode(decode(${hex(place)}, 'hex'), 'base64'), '='), '+/', '-_')`;
  return [
    ...[...cast.keys()].map((old, place) => ({
      old,
      fresh: `of[1 + floor(random() * cardinality(of))::integer]`.replaceAll('of', `($${place + 3}::text[])`),
    })),
    // One life follows on another, as far as an id tells the time.
    ...ids.map((old) => ({
      old,
      fresh: `'${old.slice(0, 12)}' || lpad(n::text, 10, '0') || substr(md5(random()::text), 1, 8)`,
    })),
    ...hashed.flatMap((hash, place) => [
      { old: hash, fresh: base64url(place) },
      { old: hexOf(hash), fresh: hex(place) },
    ]),
  ].map((renewal, place) => ({ ...renewal, column: `renewed_${place}` }));
}

function insertOf(client: Client, { table, columns }: Row, renewals: readonly Renewal[]): string {
  const swapped = new RegExp(`(${renewals.map(({ old }) => old).join('|')})`);
  const values = columns.map(({ name, type, value }) => {
    if (value === null) return 'NULL';
    const pieces = value
      .split(swapped)
      .filter((piece) => piece !== '')
      .map((piece) => renewals.find(({ old }) => old === piece)?.column ?? client.escapeLiteral(piece));
    const text = pieces.length === 0 ? "''" : pieces.join(' || ');
    return isEvent(table, name) ? `convert_to(${text}, 'UTF8')` : `(${text})::${type}`;
  });
  const names = columns.map(({ name }) => `"${name}"`).join(', ');
  return `INSERT INTO ${table} (${names}) SELECT ${values.join(', ')} FROM copies`;
}
