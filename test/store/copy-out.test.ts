import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { copyOut, type CopiedRow } from '../../src/store/copy-out.ts';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { connect } from '../support/sql.ts';

let database: TestDatabase;
let client: Client;
before(async () => {
  database = await newTestDatabase();
  client = await connect(database.superuserUrl);
});
after(async () => {
  await client.end();
  await database.drop();
});

const copy = async <T>(query: string, read: (row: CopiedRow) => T, from = client): Promise<T[]> => {
  const rows: T[] = [];
  await copyOut(from, query, (row) => void rows.push(read(row)));
  return rows;
};

test('rows come as PostgreSQL holds them, with what is absent as null', async () => {
  const query = `SELECT (1::bigint << 52) + 258, '\\x00ff0a'::bytea, NULL::bytea, ''::bytea`;
  const rows = await copy(query, (row) => [row.integer(), row.bytes(), row.bytes(), row.bytes()]);
  assert.deepEqual(rows, [[2 ** 52 + 258, Buffer.from('00ff0a', 'hex'), null, Buffer.alloc(0)]]);
  assert.deepEqual(await copy('SELECT 1 WHERE false', (row) => row.bytes()), []);
  await assert.rejects(
    copy('SELECT NULL::bigint', (row) => row.integer()),
    /sent no bigint/,
  );
});

test('many rows come whole and in order, and so do large ones', async () => {
  const read = (row: CopiedRow) => [row.integer(), row.bytes()!.toString()] as const;
  const rows = await copy(
    `SELECT n::bigint, decode(repeat(to_hex(n % 256 + 256), n), 'hex') FROM generate_series(1, 3000) n ORDER BY n`,
    read,
  ).catch((error: Error) => error);
  assert.ok(rows instanceof Error, 'an odd number of digits is no bytea');
  const good = await copy(
    `SELECT n::bigint, convert_to(repeat(chr(97 + n % 26), n), 'UTF8') FROM generate_series(1, 3000) n ORDER BY n`,
    read,
  );
  assert.equal(good.length, 3_000);
  for (const [place, [number, text]] of good.entries()) {
    assert.equal(number, place + 1);
    assert.equal(text, String.fromCharCode(97 + ((place + 1) % 26)).repeat(place + 1));
  }
});

test('a query that fails rejects, also in the middle, and the connection goes on', async () => {
  const read = (row: CopiedRow): Buffer | null => row.bytes();
  await assert.rejects(copy('SELECT nothing', read), /column "nothing" does not exist/);
  await assert.rejects(copy('SELECT 1 / (5000 - n) FROM generate_series(1, 6000) n', read), /division by zero/);
  assert.deepEqual(await copy(`SELECT 'x'`, read), [Buffer.from('x')]);
});

test('a connection that is lost rejects', async () => {
  const other = await connect(database.superuserUrl);
  const { rows } = await other.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const waiting = assert.rejects(copyOut(other, 'SELECT pg_sleep(20)', () => undefined));
  await client.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid]);
  await waiting;
});
