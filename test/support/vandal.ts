import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { escapeIdentifier, type Client } from 'pg';
import { runLedger } from '../../src/cli/ledger/command.ts';
import { canonicalJson } from '../../src/ledger/canonical.ts';
import { signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { CompactRange } from '../../src/ledger/compact-range.ts';
import { leafHash } from '../../src/ledger/merkle.ts';
import { growTiles } from '../../src/ledger/tile-growth.ts';
import { openLedgerDatabase } from '../../src/store/ledger-audit.ts';
import type { TestDatabase } from './postgres.ts';
import { connect } from './sql.ts';

/** A copy of a database, and a superuser in it whom no trigger holds back. */
export interface Vandal {
  readonly sql: Client;
  readonly auditorUrl: string;
  readonly appUrl: string;
  /** The event at a position. */
  event(position: number): Promise<Record<string, unknown> & { id: string }>;
  /** The first position from `from` on that holds an event of that type. */
  find(type: string, from?: number): Promise<number>;
  /** Puts other bytes in the place of an event's. */
  rewrite(position: number, change: (event: Record<string, unknown>) => Record<string, unknown>): Promise<void>;
  /** Adds an event that nobody asked for, which waits for its position. @returns its id. */
  add(event: Record<string, unknown>): Promise<string>;
  /** Makes tiles, root and checkpoint anew over whatever the entries are now, signed by this key. */
  rebuild(origin: string, privateKey: KeyObject): Promise<void>;
  /** Runs `latchkey ledger verify --database` as the auditor. */
  verify(...more: string[]): Promise<Verified>;
  drop(): Promise<void>;
}

export interface Verified {
  readonly exitCode: number;
  /** What it answered with `--json`. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly answer: any;
}

/** Copies a database that nobody is connected to. */
export async function newVandal(database: TestDatabase, name: string): Promise<Vandal> {
  await copyDatabase(database, name);
  const sql = await connect(inDatabase(database.superuserUrl, name));
  for (const table of await guardedTables(sql)) await sql.query(`ALTER TABLE ${table} DISABLE TRIGGER ALL`);
  const auditorUrl = inDatabase(database.auditorUrl, name);
  const bytesAt = async (position: number): Promise<Buffer> => {
    const { rows } = await sql.query<{ bytes: Buffer }>(
      'SELECT bytes FROM ledger_entries e JOIN audit_events a ON a.id = e.event WHERE position = $1',
      [position],
    );
    return rows[0]!.bytes;
  };
  return {
    sql,
    auditorUrl,
    appUrl: inDatabase(database.appUrl, name),
    event: async (position) => JSON.parse((await bytesAt(position)).toString('utf8')),
    async find(type, from = 0) {
      const { rows } = await sql.query<{ position: string }>(
        `SELECT min(position) AS position FROM ledger_entries e JOIN audit_events a ON a.id = e.event
         WHERE type = $1 AND position >= $2`,
        [type, from],
      );
      return Number(rows[0]!.position);
    },
    async rewrite(position, change) {
      const event = JSON.parse((await bytesAt(position)).toString('utf8')) as Record<string, unknown>;
      const bytes = Buffer.from(canonicalJson(change(event)));
      await sql.query('UPDATE audit_events SET bytes = $1 WHERE id = $2', [bytes, event.id]);
    },
    async add(event) {
      await sql.query('ALTER TABLE audit_events ENABLE ALWAYS TRIGGER every_event_is_sequenced');
      await sql.query('INSERT INTO audit_events (id, at, type, tenant, bytes) VALUES ($1, $2, $3, $4, $5)', [
        event.id,
        event.at,
        event.type,
        event.tenant,
        Buffer.from(canonicalJson(event)),
      ]);
      return event.id as string;
    },
    rebuild: (origin, privateKey) => rebuild(sql, origin, privateKey),
    verify: (...more) => verify('--database', auditorUrl, ...more),
    async drop() {
      await sql.end();
      await dropDatabase(database, name);
    },
  };
}

/** Runs `latchkey ledger verify` with these arguments. */
export async function verify(...argv: string[]): Promise<Verified> {
  let said = '';
  const exitCode = await runLedger(
    ['verify', ...argv, '--json'],
    {
      stdout: { write: (text) => (said += text) },
      stderr: { write: () => {} },
      env: {},
      now: Date.now,
      signal: new AbortController().signal,
    },
    { openDatabase: openLedgerDatabase, acceptRollback: async () => 0 },
  );
  return { exitCode, answer: JSON.parse(said) };
}

/** Copies a database under another name, cutting off whoever is connected to it. */
export async function copyDatabase(database: TestDatabase, name: string): Promise<void> {
  const server = await connect(inDatabase(database.superuserUrl, 'postgres'));
  try {
    await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [database.name]);
    await server.query(
      `CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE ${escapeIdentifier(database.name)} OWNER latchkey_admin`,
    );
  } finally {
    await server.end();
  }
}

export async function dropDatabase(database: TestDatabase, name: string): Promise<void> {
  const server = await connect(inDatabase(database.superuserUrl, 'postgres'));
  await server.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`);
  await server.end();
}

export function inDatabase(url: string, name: string): string {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.href;
}

export function newLedgerKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}

/** History, with every partition of it, and what the ledger keeps. */
async function guardedTables(sql: Client): Promise<string[]> {
  const { rows } = await sql.query<{ name: string }>(
    `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass`,
  );
  return [
    'audit_events',
    'ledger_entries',
    'ledger_state',
    'ledger_tiles',
    'ledger_inbox',
    ...rows.map(({ name }) => name),
  ];
}

async function rebuild(sql: Client, origin: string, privateKey: KeyObject): Promise<void> {
  const { rows } = await sql.query<{ bytes: Buffer }>(
    'SELECT bytes FROM ledger_entries e JOIN audit_events a ON a.id = e.event ORDER BY position',
  );
  const range = CompactRange.empty();
  const tiles = growTiles(
    range,
    rows.map(({ bytes }) => leafHash(bytes)),
  );
  await sql.query('DELETE FROM ledger_tiles');
  for (const { level, index, hashes } of tiles) {
    await sql.query('INSERT INTO ledger_tiles (level, index, hashes) VALUES ($1, $2, $3)', [level, index, hashes]);
  }
  const head = { origin, size: range.size, root: range.root() };
  await sql.query('UPDATE ledger_state SET size = $1, root = $2, edge = $3, checkpoint = $4', [
    head.size,
    head.root,
    range.toBytes(),
    signCheckpoint(head, privateKey),
  ]);
}
