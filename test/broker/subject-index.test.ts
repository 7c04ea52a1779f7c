import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSubjectIndex } from '../../src/broker/subject-index.ts';
import { uuidOf } from '../../src/domain/ids.ts';
import { openPool } from '../../src/store/pool.ts';
import { newTestDatabase } from '../support/postgres.ts';
import { connect } from '../support/sql.ts';

const subject = 'per_00000000000000000000000001';
/** As many as are noted at once, one after the other. */
const entries = (from: number): { position: number; bytes: Buffer }[] =>
  Array.from({ length: 512 }, (_, place) => ({ position: from + place, bytes: Buffer.from(`["${subject}"]`) }));

test('a batch waits for what is to be noted before it, but only for a second, and all of it is noted in the end', async () => {
  const database = await newTestDatabase();
  const pool = openPool({ url: database.appUrl, size: 4 });
  const holder = await connect(database.superuserUrl);
  const index = openSubjectIndex(pool, {
    warn: (fields, message) => assert.fail(`${message}: ${JSON.stringify(fields)}`),
  });
  const isReady = (within: number): Promise<boolean> =>
    Promise.race([index.ready().then(() => true), sleep(within, false)]);
  await holder.query('BEGIN');
  await holder.query('SELECT FROM ledger_indexed FOR UPDATE');
  index.add(entries(0));
  assert.ok(await isReady(100), 'the first is being noted meanwhile');
  index.add(entries(512));
  assert.ok(!(await isReady(500)), 'it does not get ahead of what is noted');
  assert.ok(await isReady(3_000), 'it is held up no longer');
  await holder.query('COMMIT');
  await index.close();
  const { rows } = await holder.query(
    `SELECT i.size, (SELECT count(*) FROM ledger_subjects WHERE subject = $1) AS noted FROM ledger_indexed i`,
    [uuidOf(subject)],
  );
  assert.deepEqual(rows, [{ size: 1_024, noted: 1_024 }]);
  await holder.end();
  await pool.end();
  await database.drop();
});
