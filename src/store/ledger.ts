import type { EventId } from '../domain/ids.ts';
import type { PoolClient } from 'pg';
import type { Pool } from './pool.ts';
import { nowSql, row, post, rows, type Runner, type Tx } from './transaction.ts';

/** The tree as it was last signed. */
export interface LedgerState {
  readonly size: number;
  readonly root: Buffer;
  /** The hashes on the tree's right edge, largest subtree first. */
  readonly edge: Buffer;
  /** The signed note; null before the first. */
  readonly checkpoint: string | null;
}

/** An event that had no position until now. */
export interface Waiting {
  readonly event: EventId;
  /** Its place in the inbox. */
  readonly seq: number;
  /** The leaf hash that the database computed when the event was written. */
  readonly leaf: Buffer;
  /** The event as it now stands in the table; null when it is gone. */
  readonly bytes: Buffer | null;
}

export interface Tile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Buffer;
}

const state = 'SELECT size, root, edge, checkpoint FROM ledger_state';

export async function findLedgerState(runner: Runner): Promise<LedgerState> {
  return (await row<LedgerState>(runner, 'find-ledger-state', state))!;
}

/** Takes the ledger for this transaction; null when another broker has it. */
export async function lockLedgerState(tx: Tx): Promise<LedgerState | null> {
  // A broker that is cut off in the middle must not keep the others waiting. And a plan for an inbox that happens to be
  // small must not stay when it has grown: whatever is looked for here is found by a key.
  tx.post({
    text: `SELECT set_config('idle_in_transaction_session_timeout', '1s', true),
      set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`,
  });
  return row<LedgerState>(tx, 'lock-ledger-state', `${state} FOR UPDATE SKIP LOCKED`);
}

/** Which transaction this is, and which was the oldest that ran. Asked between the lock and what is searched under it. */
export async function findTransaction(tx: Tx): Promise<{ readonly xact: number; readonly oldest: number }> {
  const text = `SELECT pg_current_xact_id_if_assigned()::text::bigint AS xact,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest`;
  return (await row<{ xact: number; oldest: number }>(tx, 'find-transaction', text))!;
}

/**
 * Takes the oldest events that wait out of the inbox and gives them the positions that follow, without a gap. An event
 * whose transaction commits later comes later: within what depends on one another, that is the order in which it
 * happened. Takes none unless this very transaction has the ledger, so it may be sent along with the lock.
 * @param after only what has a greater `seq` is looked for.
 * @returns the events in their order.
 */
export async function placeWaiting(tx: Tx, limit: number, after: number): Promise<Waiting[]> {
  const placed = await tx.query({
    name: 'place-waiting',
    text: `WITH mine AS (
       SELECT size FROM ledger_state WHERE xmax = pg_current_xact_id_if_assigned()::xid
     ), taken AS (
       DELETE FROM ledger_inbox
       WHERE ctid = ANY (ARRAY(SELECT i.ctid FROM ledger_inbox i, mine WHERE i.seq > $2 ORDER BY i.seq LIMIT $1))
       RETURNING seq, event, at, leaf
     ), placed AS (
       INSERT INTO ledger_entries (position, event, at)
       SELECT (SELECT size FROM mine) + row_number() OVER (ORDER BY seq) - 1, event, at FROM taken
     )
     SELECT event, seq, leaf,
       (SELECT encode(bytes, 'escape') FROM audit_events a WHERE a.id = taken.event AND a.at = taken.at) AS escaped
     FROM taken ORDER BY seq`,
    values: [limit, after],
    harmlessAlone: true,
  });
  return placed.rows.map(({ escaped, ...waiting }) => ({
    ...waiting,
    bytes: escaped === null ? null : bytesOf(escaped),
  }));
}

/** Bytes in PostgreSQL's "escape" format: nearly all of an event is as it is, which is half as long as hexadecimal. */
function bytesOf(escaped: string): Buffer {
  const plain = escaped.replace(/\\(\\|[0-7]{3})/g, (_, code: string) =>
    code === '\\' ? code : String.fromCharCode(Number.parseInt(code, 8)),
  );
  return Buffer.from(plain, 'latin1');
}

/**
 * The bytes of entries, in order; shorter than asked for where the ledger ends. Each event is looked up by its key: a
 * join may be planned as a walk through all of history, for a handful of entries.
 */
export async function readEntries(
  runner: Runner,
  from: number,
  limit: number,
): Promise<{ readonly position: number; readonly bytes: Buffer }[]> {
  return rows(
    runner,
    'read-entries',
    `SELECT e.position, a.bytes FROM ledger_entries e,
       LATERAL (SELECT bytes FROM audit_events WHERE id = e.event AND at = e.at OFFSET 0) AS a
     WHERE e.position >= $1 AND e.position < $1 + $2::bigint ORDER BY e.position`,
    [from, limit],
  );
}

/** Adds hashes to the ends of tiles. */
export function growTiles(tx: Tx, tiles: readonly Tile[]): void {
  post(
    tx,
    'grow-tiles',
    `INSERT INTO ledger_tiles (level, index, hashes) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
     ON CONFLICT (level, index) DO UPDATE SET hashes = ledger_tiles.hashes || EXCLUDED.hashes`,
    [tiles.map((tile) => tile.level), tiles.map((tile) => tile.index), tiles.map((tile) => tile.hashes)],
  );
}

/** Keeps the tree as it is now, with its checkpoint, and announces it at the commit to whoever listens. */
export function saveLedgerState(
  tx: Tx,
  next: { readonly size: number; readonly root: Buffer; readonly edge: Buffer; readonly checkpoint: string },
): void {
  post(
    tx,
    'save-ledger-state',
    `WITH saved AS (
       UPDATE ledger_state SET size = $1, root = $2, edge = $3, checkpoint = $4, signed_at = ${nowSql}
     ) SELECT pg_notify('${ledgerChannel}', $1::bigint::text)`,
    [next.size, next.root, next.edge, next.checkpoint],
  );
}

/** Where the sequencer, and nobody else, announces new sizes. A hint: whoever waits also looks for itself. */
export const ledgerChannel = 'latchkey_ledger';

export async function findTile(runner: Runner, level: number, index: number): Promise<Buffer | null> {
  const found = await row<{ hashes: Buffer }>(
    runner,
    'find-tile',
    'SELECT hashes FROM ledger_tiles WHERE level = $1 AND index = $2',
    [level, index],
  );
  return found?.hashes ?? null;
}

/** Those of the tiles that exist. */
export async function findTiles(
  runner: Runner,
  wanted: readonly { readonly level: number; readonly index: number }[],
): Promise<Tile[]> {
  return rows<Tile>(
    runner,
    'find-tiles',
    `SELECT level, index, hashes FROM ledger_tiles
     JOIN unnest($1::smallint[], $2::bigint[]) AS of (level, index) USING (level, index)`,
    [wanted.map((tile) => tile.level), wanted.map((tile) => tile.index)],
  );
}

/** Where an event is, and the tree that it is in; null while it waits, or when there is none such. */
export async function locate(
  runner: Runner,
  event: EventId,
): Promise<{ readonly position: number; readonly size: number; readonly checkpoint: string } | null> {
  return row(
    runner,
    'locate',
    `SELECT e.position, s.size, s.checkpoint FROM ledger_entries e, ledger_state s
     WHERE e.event = $1 AND s.checkpoint IS NOT NULL`,
    [event],
  );
}

/** Whether an event waits for a position. @param after only those with a greater `seq` are looked at. */
export async function isWaiting(runner: Runner, after: number): Promise<boolean> {
  const text = 'SELECT 1 AS one FROM ledger_inbox WHERE seq > $1 ORDER BY seq LIMIT 1';
  return (await row(runner, 'is-waiting', text, [after])) !== null;
}

/** The greatest `seq` that an event was given, whether it was committed or not. */
export async function findLastFiled(runner: Runner): Promise<number> {
  const found = await row<{ last: number }>(
    runner,
    'find-last-filed',
    'SELECT last_value AS last FROM ledger_inbox_seq_seq',
  );
  return found!.last;
}

/**
 * Listens for announcements on a connection of its own, which is made again when it is lost. Announcements are hints:
 * those made in between are not heard.
 */
export async function listenToLedger(pool: Pool, heard: (size: number) => void): Promise<{ close(): Promise<void> }> {
  let closed = false;
  let client: PoolClient | null = null;
  const stopping = (): boolean => closed;
  const listen = async (): Promise<void> => {
    if (closed) return;
    try {
      const fresh = await pool.connect();
      // Whoever has closed meanwhile would wait for ever for a connection that nobody gives back.
      if (stopping()) return fresh.release(true);
      const giveUp = (): void => {
        if (client !== fresh) return;
        client = null;
        fresh.release(true);
        setTimeout(() => void listen(), listenAgainAfter).unref();
      };
      client = fresh;
      fresh.on('notification', ({ payload }) => heard(Number(payload))).on('error', giveUp);
      await fresh.query(`LISTEN ${ledgerChannel}`).catch(giveUp);
    } catch {
      setTimeout(() => void listen(), listenAgainAfter).unref();
    }
  };
  await listen();
  return {
    async close() {
      closed = true;
      const last = client;
      client = null;
      last?.release(true);
    },
  };
}

const listenAgainAfter = 500;
