import { Client } from 'pg';
import type { Leftovers, LedgerSource } from '../ledger/audit-source.ts';
import { hashLength } from '../ledger/merkle.ts';
import { rangesBetween, readAhead } from '../ledger/read-ahead.ts';

const batch = 2_048;
const batchesAhead = 2;
/** How many events of a kind are named. */
const named = 20;
/** An event gets its position within a fraction of a second; one that waits longer than this is worth a word (seconds). */
const longWait = 10;

/**
 * Opens the ledger of a database for auditing. Reads only, and needs no more than the auditor's role; two connections
 * are used, one for entries and one for tiles, without a limit on how long a statement may take.
 */
export async function openLedgerDatabase(url: string): Promise<LedgerSource> {
  const entries = await connect(url);
  try {
    const tiles = await connect(url);
    const state = await tiles.query<{ checkpoint: string | null }>('SELECT checkpoint FROM ledger_state');
    return {
      checkpoint: state.rows[0]?.checkpoint ?? null,
      entries: (from, to) => readAhead(rangesBetween(from, to, batch), batchesAhead, (range) => read(entries, range)),
      tile: (level, index, width) => readTile(tiles, level, index, width),
      leftovers: () => findLeftovers(tiles),
      close: async () => void (await Promise.all([entries.end(), tiles.end()])),
    };
  } catch (error) {
    await entries.end();
    throw error;
  }
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
  return client;
}

async function read(client: Client, [from, to]: readonly [number, number]): Promise<(Uint8Array | null)[]> {
  const found = await client.query<[position: string, bytes: Buffer | null], number[]>({
    name: 'audit-entries',
    text: `SELECT e.position::text, a.bytes FROM ledger_entries e
      LEFT JOIN audit_events a ON a.id = e.event AND a.at = e.at
      WHERE e.position >= $1 AND e.position < $2`,
    values: [from, to],
    rowMode: 'array',
  });
  const entries: (Uint8Array | null)[] = Array.from({ length: to - from }, () => null);
  for (const [position, bytes] of found.rows) entries[Number(position) - from] = bytes;
  return entries;
}

async function readTile(client: Client, level: number, index: number, width: number): Promise<Uint8Array | null> {
  const found = await client.query<{ hashes: Buffer }>({
    name: 'audit-tile',
    text: 'SELECT substring(hashes FOR $3) AS hashes FROM ledger_tiles WHERE level = $1 AND index = $2',
    values: [level, index, width * hashLength],
  });
  return found.rows[0]?.hashes ?? null;
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
