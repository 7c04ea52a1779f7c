import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { CopiedRows, copyOut } from '../../src/store/copy-out.ts';
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

async function rowsOf(select: string, from = client): Promise<(Buffer | null)[][]> {
  const rows = new CopiedRows();
  await copyOut(from, select, rows);
  return rows.list();
}

test('rows come as PostgreSQL holds them, with what is absent as null', async () => {
  const rows = await rowsOf(`SELECT 258::bigint, '\\x00ff0a'::bytea, NULL::bytea, ''::bytea`);
  assert.deepEqual(rows, [
    [Buffer.from('0000000000000102', 'hex'), Buffer.from('00ff0a', 'hex'), null, Buffer.alloc(0)],
  ]);
  assert.deepEqual(await rowsOf('SELECT 1 WHERE false'), []);
});

test('many rows come whole and in order, and so do large ones', async () => {
  const rows = await rowsOf(
    `SELECT n::bigint, decode(repeat(to_hex(n % 256 + 256), n), 'hex') FROM generate_series(1, 3000) n ORDER BY n`,
  ).catch((error: Error) => error);
  assert.ok(rows instanceof Error, 'an odd number of digits is no bytea');
  const good = await rowsOf(
    `SELECT n::bigint, convert_to(repeat(chr(97 + n % 26), n), 'UTF8') FROM generate_series(1, 3000) n ORDER BY n`,
  );
  assert.equal(good.length, 3_000);
  for (const [place, [number, bytes]] of good.entries()) {
    assert.equal(Number(number!.readBigInt64BE()), place + 1);
    assert.equal(bytes!.toString(), String.fromCharCode(97 + ((place + 1) % 26)).repeat(place + 1));
  }
});

test('an answer takes the place of the one before it', async () => {
  const rows = new CopiedRows();
  assert.throws(() => rows.list(), /no binary copy/);
  await copyOut(client, 'SELECT repeat($$long$$, 1000000)', rows);
  assert.equal(rows.list()[0]![0]!.length, 4_000_000);
  await copyOut(client, `SELECT 'x'`, rows);
  assert.deepEqual(rows.list(), [[Buffer.from('x')]]);
  await copyOut(client, 'SELECT 1 WHERE false', rows);
  assert.deepEqual(rows.list(), []);
});

test('a query that fails rejects, also in the middle, and the connection goes on', async () => {
  await assert.rejects(rowsOf('SELECT nothing'), /column "nothing" does not exist/);
  await assert.rejects(rowsOf('SELECT 1 / (5000 - n) FROM generate_series(1, 6000) n'), /division by zero/);
  assert.deepEqual(await rowsOf(`SELECT 'x'`), [[Buffer.from('x')]]);
});

test('a connection that is lost rejects', async () => {
  const other = await connect(database.superuserUrl);
  const { rows } = await other.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const waiting = assert.rejects(rowsOf('SELECT pg_sleep(20)', other));
  await client.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid]);
  await waiting;
});
