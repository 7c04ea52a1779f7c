import { Client } from 'pg';
import type { Leftovers, LedgerSource } from '../ledger/audit-source.ts';
import { keySteps, servedKeys, type ServedKeys } from '../ledger/served-keys.ts';
import { hashLength } from '../ledger/merkle.ts';
import { rangesBetween, readAhead } from '../ledger/read-ahead.ts';
import { CopiedRows, copyOut } from './copy-out.ts';

const batch = 1_024;
const batchesAhead = 4;
/** How many events of a kind are named. */
const named = 20;
/** An event gets its position within a fraction of a second; one that waits longer than this is worth a word (seconds). */
const longWait = 10;

/**
 * Opens the ledger of a database for auditing. Reads only, and needs no more than the auditor's role; three connections
 * are used, for entries, for tiles, and for what lies beside the tree, without a limit on how long a statement may take.
 */
export async function openLedgerDatabase(url: string): Promise<LedgerSource> {
  const opened: Promise<Client>[] = [];
  const open = (): Promise<Client> => {
    const client = connect(url);
    opened.push(client);
    return client;
  };
  const close = async (): Promise<void> =>
    void (await Promise.allSettled(opened.map(async (client) => (await client).end())));
  try {
    const [entries, tiles] = await Promise.all([open(), open()]);
    const [forEntries, forTiles] = [inTurn(), inTurn()];
    const state = await tiles.query<{ checkpoint: string | null }>('SELECT checkpoint FROM ledger_state');
    return {
      checkpoint: state.rows[0]?.checkpoint ?? null,
      entries: (from, to) => readBatches(from, to, (range, rows) => forEntries(() => read(entries, range, rows))),
      tile: tileReader((wanted) => forTiles(() => readTiles(tiles, wanted))),
      keys: () => forTiles(() => readKeys(tiles)),
      leftovers: async () => findLeftovers(await open()),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Does one thing after another, as a connection does. */
function inTurn(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = last.then(work, work);
    last = done;
    return done;
  };
}

async function connect(url: string): Promise<Client> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    application_name: 'latchkey-audit',
    keepAlive: true,
  });
  // Said again by the statement that meets it.
  client.on('error', () => {});
  await client.connect();
  await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
  await client.query('SET statement_timeout = 0');
  // What is looked for beside the tree has time: it takes no processor from who reads it.
  await client.query('SET max_parallel_workers_per_gather = 0');
  return client;
}

type Range = readonly [from: number, to: number];

/** All that lie between, in batches: of each the memory is used again once the next is asked for. */
async function* readBatches(
  from: number,
  to: number,
  read: (range: Range, rows: CopiedRows) => Promise<void>,
): AsyncGenerator<(Uint8Array | null)[], void, undefined> {
  const free: CopiedRows[] = [];
  const load = async (range: Range): Promise<readonly [Range, CopiedRows]> => {
    const rows = free.pop() ?? new CopiedRows();
    await read(range, rows);
    return [range, rows];
  };
  for await (const [range, rows] of readAhead(rangesBetween(from, to, batch), batchesAhead, load)) {
    // Taken apart no sooner than they are needed: ten thousand objects that wait would outlive a sweep or two.
    yield entriesOf(range, rows);
    free.push(rows);
  }
}

function read(client: Client, [from, to]: Range, rows: CopiedRows): Promise<void> {
  return copyOut(
    client,
    `SELECT e.position, a.bytes FROM ledger_entries e LEFT JOIN audit_events a ON a.id = e.event AND a.at = e.at
     WHERE e.position >= ${from} AND e.position < ${to}`,
    rows,
  );
}

function entriesOf([from, to]: Range, rows: CopiedRows): (Uint8Array | null)[] {
  const entries: (Uint8Array | null)[] = Array.from({ length: to - from }, () => null);
  for (const [position, bytes] of rows.list()) entries[Number(position!.readBigInt64BE()) - from] = bytes!;
  return entries;
}

interface Wanted {
  readonly level: number;
  readonly index: number;
  readonly width: number;
}

/** Reads all the tiles that are asked for together with one query. */
function tileReader(
  read: (wanted: readonly Wanted[]) => Promise<Map<string, Uint8Array>>,
): (level: number, index: number, width: number) => Promise<Uint8Array | null> {
  let gathered: Wanted[] = [];
  let reading: Promise<Map<string, Uint8Array>> | null = null;
  return async (level, index, width) => {
    gathered.push({ level, index, width });
    reading ??= Promise.resolve().then(() => {
      const wanted = gathered;
      gathered = [];
      reading = null;
      return read(wanted);
    });
    return (await reading).get(`${level}/${index}`) ?? null;
  };
}

async function readTiles(client: Client, wanted: readonly Wanted[]): Promise<Map<string, Uint8Array>> {
  const found = await client.query<{ name: string; hashes: Buffer }>({
    name: 'audit-tiles',
    text: `SELECT level || '/' || index AS name, substring(hashes FOR length) AS hashes
      FROM unnest($1::smallint[], $2::bigint[], $3::integer[]) AS of (level, index, length)
      JOIN ledger_tiles USING (level, index)`,
    values: [
      wanted.map(({ level }) => level),
      wanted.map(({ index }) => index),
      wanted.map(({ width }) => width * hashLength),
    ],
  });
  return new Map(found.rows.map(({ name, hashes }) => [name, hashes]));
}

async function readKeys(client: Client): Promise<ServedKeys> {
  const { rows } = await client.query<{ key: string; event: string | null; proof: string | null }>(
    `SELECT key, event, proof FROM signing_keys WHERE name = 'ledger' ORDER BY recorded_at, version`,
  );
  return servedKeys(keySteps(rows));
}

/** Each answer is of one moment, so that what is just being written is not taken for something left over. */
async function findLeftovers(client: Client): Promise<Leftovers> {
  const unplaced = await client.query<{ id: string }>(
    `SELECT a.id FROM audit_events a
     WHERE NOT EXISTS (SELECT FROM ledger_entries e WHERE e.event = a.id AND e.at = a.at)
       AND NOT EXISTS (SELECT FROM ledger_inbox i WHERE i.event = a.id AND i.at = a.at)
     ORDER BY a.at, a.id LIMIT $1`,
    [named],
  );
  const lost = await client.query<{ event: string }>(
    `SELECT i.event FROM ledger_inbox i LEFT JOIN audit_events a ON a.id = i.event AND a.at = i.at
     WHERE a.id IS NULL OR sha256('\\x00'::bytea || a.bytes) <> i.leaf ORDER BY i.seq LIMIT $1`,
    [named],
  );
  const waiting = await client.query<{ waiting: number }>(
    `SELECT count(*)::integer AS waiting FROM ledger_inbox WHERE at < clock_timestamp() - make_interval(secs => $1)`,
    [longWait],
  );
  const beyond = await client.query<{ position: string | null }>(
    'SELECT min(e.position) AS position FROM ledger_entries e, ledger_state s WHERE e.position >= s.size',
  );
  const position = beyond.rows[0]?.position ?? null;
  return {
    unplaced: unplaced.rows.map(({ id }) => id),
    lost: lost.rows.map(({ event }) => event),
    waiting: waiting.rows[0]!.waiting,
    beyond: position === null ? null : Number(position),
  };
}
