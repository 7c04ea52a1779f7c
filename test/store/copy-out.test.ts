import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { copyOut } from '../../src/store/copy-out.ts';
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

test('rows come as PostgreSQL holds them, with what is absent as null', async () => {
  const rows = await copyOut(client, `SELECT 258::bigint, '\\x00ff0a'::bytea, NULL::bytea, ''::bytea`);
  assert.deepEqual(rows, [
    [Buffer.from('0000000000000102', 'hex'), Buffer.from('00ff0a', 'hex'), null, Buffer.alloc(0)],
  ]);
  assert.deepEqual(await copyOut(client, 'SELECT 1 WHERE false'), []);
});

test('many rows come whole and in order, and so do large ones', async () => {
  const rows = await copyOut(
    client,
    `SELECT n::bigint, decode(repeat(to_hex(n % 256 + 256), n), 'hex') FROM generate_series(1, 3000) n ORDER BY n`,
  ).catch((error: Error) => error);
  assert.ok(rows instanceof Error, 'an odd number of digits is no bytea');
  const good = await copyOut(
    client,
    `SELECT n::bigint, convert_to(repeat(chr(97 + n % 26), n), 'UTF8') FROM generate_series(1, 3000) n ORDER BY n`,
  );
  assert.equal(good.length, 3_000);
  for (const [place, [number, bytes]] of good.entries()) {
    assert.equal(Number(number!.readBigInt64BE()), place + 1);
    assert.equal(bytes!.toString(), String.fromCharCode(97 + ((place + 1) % 26)).repeat(place + 1));
  }
});

test('a query that fails rejects, also in the middle, and the connection goes on', async () => {
  await assert.rejects(copyOut(client, 'SELECT nothing'), /column "nothing" does not exist/);
  await assert.rejects(copyOut(client, 'SELECT 1 / (5000 - n) FROM generate_series(1, 6000) n'), /division by zero/);
  assert.deepEqual(await copyOut(client, `SELECT 'x'`), [[Buffer.from('x')]]);
});

test('a connection that is lost rejects', async () => {
  const other = await connect(database.superuserUrl);
  const { rows } = await other.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const waiting = assert.rejects(copyOut(other, 'SELECT pg_sleep(20)'));
  await client.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid]);
  await waiting;
});
