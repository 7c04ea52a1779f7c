import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { acceptRollback } from '../../src/broker/accept-rollback.ts';
import { loadSealer } from '../../src/credentials/seal.ts';
import { openDirectoryVault } from '../../src/credentials/directory-vault.ts';
import { startBroker, type RunningBroker } from '../../src/serve.ts';
import { openPool } from '../../src/store/pool.ts';
import { newTestBroker, secretsDirectory, type TestBroker } from '../support/broker.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { copyDatabase, dropDatabase, inDatabase, verify } from '../support/vandal.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const silent = { info: () => {}, warn: () => {}, error: () => {} };

let broker: TestBroker;
let backup: string;
let backupUrl: string;
let key: EngineerKey;
let restored: RunningBroker | undefined;

before(async () => {
  broker = await newTestBroker();
  backup = `${broker.database.name}_backup`;
  backupUrl = inDatabase(broker.database.appUrl, backup);
  key = await newEngineerKey();
});
after(async () => {
  await restored?.stop();
  await Promise.all([broker.issuer.stop(), broker.sql.end()]);
  await dropDatabase(broker.database, backup);
  await broker.database.drop();
});

const settled = async (): Promise<void> => {
  for (;;) {
    if ((await broker.sql.query('SELECT FROM ledger_inbox LIMIT 1')).rowCount === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

test('a database that was rolled back opens no door until an operator accepts it, which is recorded', async () => {
  const grant = await broker.grant('ada', 'remediate');
  const path = `/v1/grants/${grant.id}/credentials`;
  await settled();
  await broker.brokers[0]!.stop();
  await copyDatabase(broker.database, backup);

  // Life goes on after the backup was taken.
  const again = await startBroker(broker.config, silent);
  for (let i = 0; i < 5; i++) await broker.ask('ben', 'remediate');
  await settled();
  const { body: kept } = await broker.call(null, 'GET', '/ledger/checkpoint');
  const pinned = join(dirname(secretsDirectory(broker.config)), 'kept');
  await writeFile(pinned, kept);
  await again.stop();

  // The backup takes the database's place; the vault is not in it.
  const config = { ...broker.config, database: { url: backupUrl, poolSize: 5 } };
  const sql = openPool({ url: inDatabase(broker.database.superuserUrl, backup), size: 2 });
  restored = await startBroker(config, silent);
  const mint = async () => {
    const dpop = await key.proof('POST', broker.config.publicUrl + path);
    return broker.call('ada', 'POST', path, { device: grant.devices[0] }, { headers: { dpop } });
  };
  const refused = await mint();
  assert.equal(refused.status, 503, JSON.stringify(refused.body));
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  const device = broker.contoso.devices[0]!;
  await device.signIn();
  const live = await device.call('GET', '/v1/agent/live-grants');
  assert.notEqual(live.status, 200, 'no list is signed over a past that was lost');

  // What a sequence has counted stays counted, whatever becomes of the transaction.
  await sql.query(`CREATE SEQUENCE placed;
    CREATE FUNCTION count_placed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
      $$ BEGIN PERFORM nextval('public.placed'); RETURN NEW; END $$;
    CREATE TRIGGER counts BEFORE INSERT ON ledger_entries FOR EACH ROW EXECUTE FUNCTION count_placed()`);
  const before = await sql.query('SELECT size, checkpoint FROM ledger_state');
  assert.equal((await broker.call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'odd' })).status, 200);
  await new Promise((resolve) => setTimeout(resolve, 400));
  const waiting = await sql.query('SELECT FROM ledger_inbox');
  assert.ok(waiting.rowCount! > 0, 'an end is recorded all the same');
  assert.deepEqual(
    (await sql.query('SELECT size, checkpoint FROM ledger_state')).rows,
    before.rows,
    'nothing is signed',
  );
  const { rows: placed } = await sql.query<{ is_called: boolean }>('SELECT is_called FROM placed');
  assert.deepEqual(placed, [{ is_called: false }], 'nor is a place given again and again, to be taken back');
  await sql.query('DROP TRIGGER counts ON ledger_entries; DROP FUNCTION count_placed; DROP SEQUENCE placed');

  const auditor = inDatabase(broker.database.auditorUrl, backup);
  const found = await verify('--database', auditor, '--pinned', pinned, '--key', restored.context.keys.ledger.vkey);
  assert.deepEqual([found.exitCode, found.answer.index], [1, Number(before.rows[0]!.size)]);
  assert.match(found.answer.reason, /pinned checkpoint is of/);

  const directory = dirname(secretsDirectory(broker.config));
  const { publicUrl, listen, region, identityProviders, policies, secrets, ledger } = broker.config;
  const accept = async (database: object) => {
    const file = join(directory, 'config.json');
    await writeFile(
      file,
      JSON.stringify({ publicUrl, listen, region, database, identityProviders, policies, secrets, ledger }),
    );
    return promisify(execFile)(process.execPath, [main, 'ledger', 'accept-rollback', '--config', file]);
  };
  const accepted = await accept({ url: backupUrl });
  assert.match(accepted.stdout, /^accepted: \d+ entries had been signed, and the ledger goes on from \d+/);

  // The broker that was waiting for this goes on by itself.
  for (let i = 0; i < 60; i++) {
    if ((await sql.query('SELECT FROM ledger_inbox')).rowCount === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const fresh = await broker.grant('ada', 'remediate');
  const freshPath = `/v1/grants/${fresh.id}/credentials`;
  const dpop = await key.proof('POST', broker.config.publicUrl + freshPath);
  const minted = await broker.call('ada', 'POST', freshPath, { device: fresh.devices[0] }, { headers: { dpop } });
  assert.equal(minted.status, 201, JSON.stringify(minted.body));
  assert.equal((await device.call('GET', '/v1/agent/live-grants')).status, 200);

  const { rows } = await sql.query<{ bytes: Buffer }>(
    `SELECT bytes FROM audit_events WHERE type = 'ledger.rollback-accepted'`,
  );
  const [event] = rows.map((row) => JSON.parse(row.bytes.toString('utf8')));
  assert.equal(rows.length, 1);
  assert.deepEqual([event.from, event.to], [Number(kept.split('\n')[1]), Number(before.rows[0]!.size)]);
  const whole = await verify('--database', auditor, '--key', restored.context.keys.ledger.vkey);
  assert.equal(whole.exitCode, 0, JSON.stringify(whole.answer));

  // A broker with a PostgreSQL of its own leaves the URL where that is; one that was never started leaves none.
  await assert.rejects(accept({ embedded: directory }), { code: 1, stderr: /start the broker first/ });
  await writeFile(join(directory, 'urls.json'), JSON.stringify({ app: backupUrl }));
  const nothing = await accept({ embedded: directory });
  assert.match(nothing.stdout, /^nothing to accept/);
  await sql.end();
});

test('a database that has all that was signed needs no accepting, and nothing is recorded', async () => {
  const pool = openPool({ url: backupUrl, size: 2 });
  const vault = await openDirectoryVault(secretsDirectory(broker.config));
  const context = { pool, region: 'EU', sealer: await loadSealer(vault), ledger: { poke: () => {} } };
  const count = async () => (await pool.query('SELECT FROM audit_events')).rowCount;
  const before = await count();
  assert.equal(await acceptRollback(context, vault), null);
  assert.equal(await count(), before);
  await pool.end();
});
