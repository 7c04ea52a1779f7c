import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newId } from '../../src/domain/ids.ts';
import { formatVkey } from '../../src/ledger/vkey.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { newLedgerKey, newVandal, verify, type Vandal } from '../support/vandal.ts';

/** What happened before anybody tampered: more than a tile full, every kind of thing in it. */
let broker: TestBroker;
let vkey: string;
let directory: string;
/** Files with signed checkpoints: one from the middle of the story, one from its end. */
let earlier: string;
let latest: string;
let size: number;
let copies = 0;

const pin = async (name: string): Promise<{ path: string; size: number }> => {
  const { body } = await broker.call(null, 'GET', '/ledger/checkpoint');
  const path = join(directory, name);
  await writeFile(path, body);
  return { path, size: Number(body.split('\n')[1]) };
};
const settled = async (): Promise<void> => {
  for (;;) {
    const { rows } = await broker.sql.query('SELECT FROM ledger_inbox LIMIT 1');
    if (rows.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-tampering-'));
  broker = await newTestBroker();
  vkey = broker.brokers[0]!.context.keys.ledger.vkey;
  const key = await newEngineerKey();
  for (let i = 0; i < 4; i++) {
    const grant = await broker.grant('ada', 'remediate');
    const path = `/v1/grants/${grant.id}/credentials`;
    const dpop = await key.proof('POST', broker.config.publicUrl + path);
    const minted = await broker.call('ada', 'POST', path, { device: grant.devices[0] }, { headers: { dpop } });
    assert.equal(minted.status, 201);
    if (i === 2) await broker.call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'enough' });
  }
  await settled();
  earlier = (await pin('earlier')).path;
  for (let i = 0; i < 250; i++) {
    await broker.call('olu', 'PUT', '/v1/tenants/fabrikam', { name: `Fabrikam ${i}`, region: 'EU' });
  }
  await settled();
  ({ path: latest, size } = await pin('latest'));
  assert.ok(size > 256, String(size));
  await broker.brokers[0]!.stop();
});
after(async () => {
  await Promise.all([broker.issuer.stop(), broker.sql.end()]);
  await broker.database.drop();
  await rm(directory, { recursive: true, force: true });
});

/** Does something to a copy of the database, as a superuser with all triggers off. */
const tampering = (title: string, work: (vandal: Vandal) => Promise<void>): void => {
  test(title, async () => {
    const vandal = await newVandal(broker.database, `${broker.database.name}_${copies++}`);
    try {
      await work(vandal);
    } finally {
      await vandal.drop();
    }
  });
};

/** Expects that verifying names this index, with nothing known beforehand but the key. */
const findsAt = async (vandal: Vandal, index: number, reason: RegExp): Promise<void> => {
  const { exitCode, answer } = await vandal.verify('--key', vkey);
  assert.deepEqual([exitCode, answer.index], [1, index], JSON.stringify(answer));
  assert.match(answer.reason, reason);
};

tampering('an untouched copy holds, by its key and by every checkpoint that was kept', async (vandal) => {
  for (const pinned of [earlier, latest]) {
    const { exitCode, answer } = await vandal.verify('--key', vkey, '--pinned', pinned);
    assert.equal(exitCode, 0, JSON.stringify(answer));
    assert.deepEqual([answer.holds, answer.size, answer.keyPinned], [true, size, true]);
  }
});

describe('a superuser with every trigger off is found out who', () => {
  tampering('changes a field', async (vandal) => {
    const at = await vandal.find('tenant.changed', 60);
    await vandal.rewrite(at, (event) => ({ ...event, region: 'US' }));
    await findsAt(vandal, at, /not the one whose hash is in tile 0\/0/);
  });

  tampering('changes one beyond the first tile', async (vandal) => {
    await vandal.rewrite(260, (event) => ({ ...event, region: 'US' }));
    await findsAt(vandal, 260, /tile 0\/1/);
  });

  tampering('changes who did something', async (vandal) => {
    const at = await vandal.find('request.approved');
    const other = newId('person', Date.now());
    await vandal.rewrite(at, (event) => ({ ...event, actor: { kind: 'person', id: other } }));
    await findsAt(vandal, at, /hash/);
  });

  tampering('leaves the meaning and changes the bytes', async (vandal) => {
    await vandal.sql.query(
      `UPDATE audit_events SET bytes = bytes || ' '::bytea WHERE id = (SELECT event FROM ledger_entries WHERE position = 9)`,
    );
    await findsAt(vandal, 9, /canonical/);
  });

  tampering('changes an event and the tile with its hash', async (vandal) => {
    const at = await vandal.find('tenant.changed', 60);
    await vandal.rewrite(at, (event) => ({ ...event, region: 'US' }));
    const { rows } = await vandal.sql.query('SELECT checkpoint FROM ledger_state');
    await vandal.rebuild('latchkey.test/eu', newLedgerKey());
    await vandal.sql.query('UPDATE ledger_state SET checkpoint = $1', [rows[0]!.checkpoint]);
    await findsAt(vandal, 0, /another root/);
    const { answer } = await vandal.verify('--key', vkey, '--pinned', earlier);
    const kept = Number((await readFile(earlier, 'utf8')).split('\n')[1]);
    assert.equal(answer.index, at < kept ? 0 : kept);
  });

  tampering('deletes an event', async (vandal) => {
    const { id } = await vandal.event(17);
    await vandal.sql.query('DELETE FROM audit_events WHERE id = $1', [id]);
    await findsAt(vandal, 17, /gone/);
  });

  tampering('deletes an event and closes the gap', async (vandal) => {
    const { id } = await vandal.event(30);
    await vandal.sql.query('DELETE FROM audit_events WHERE id = $1', [id]);
    await vandal.sql.query('DELETE FROM ledger_entries WHERE position = 30');
    await vandal.sql.query('UPDATE ledger_entries SET position = position + 1000000 WHERE position > 30');
    await vandal.sql.query('UPDATE ledger_entries SET position = position - 1000001 WHERE position > 30');
    await findsAt(vandal, 30, /hash/);
  });

  tampering('deletes an event that has no position yet', async (vandal) => {
    const template = await vandal.event(await vandal.find('tenant.changed'));
    const lost = await vandal.add({ ...template, id: newId('event', Date.now()) });
    const unplaced = await vandal.add({ ...template, id: newId('event', Date.now()) });
    const { exitCode } = await vandal.verify('--key', vkey);
    assert.equal(exitCode, 0, 'events that wait are no offence');
    await vandal.sql.query('DELETE FROM audit_events WHERE id = $1', [lost]);
    await vandal.sql.query('DELETE FROM ledger_inbox WHERE event = $1', [unplaced]);
    const { exitCode: found, answer } = await vandal.verify('--key', vkey);
    assert.equal(found, 1);
    assert.deepEqual(
      answer.findings.map((finding: { reason: string }) => finding.reason),
      [
        `the event \`${unplaced}\` never got a position`,
        `the event \`${lost}\` waits for a position and is not as it was written`,
      ],
    );
  });

  tampering('swaps two', async (vandal) => {
    for (const [from, to] of [
      [80, 1_000_000],
      [120, 80],
      [1_000_000, 120],
    ]) {
      await vandal.sql.query('UPDATE ledger_entries SET position = $2 WHERE position = $1', [from, to]);
    }
    await findsAt(vandal, 80, /hash/);
  });

  tampering('inserts one in the middle', async (vandal) => {
    await vandal.sql.query('UPDATE ledger_entries SET position = position + 1000000 WHERE position >= 100');
    await vandal.sql.query('UPDATE ledger_entries SET position = position - 999999 WHERE position > 1000');
    const forged = { ...(await vandal.event(99)), id: newId('event', Date.now()) };
    const id = await vandal.add(forged);
    await vandal.sql.query('DELETE FROM ledger_inbox');
    await vandal.sql.query(
      'INSERT INTO ledger_entries (position, event, at) SELECT 100, id, at FROM audit_events WHERE id = $1',
      [id],
    );
    await findsAt(vandal, 100, /hash/);
  });

  tampering('adds one at the end without signing it', async (vandal) => {
    const id = await vandal.add({ ...(await vandal.event(99)), id: newId('event', Date.now()) });
    await vandal.sql.query('DELETE FROM ledger_inbox');
    await vandal.sql.query(
      'INSERT INTO ledger_entries (position, event, at) SELECT $2, id, at FROM audit_events WHERE id = $1',
      [id, size],
    );
    await findsAt(vandal, size, /beyond the signed tree/);
  });

  tampering('truncates the end', async (vandal) => {
    await vandal.sql.query('DELETE FROM ledger_entries WHERE position >= 200');
    await findsAt(vandal, 200, /gone/);
  });

  tampering(
    'truncates the end and puts an old checkpoint back, which only a newer one that was kept shows',
    async (vandal) => {
      const checkpoint = await readFile(earlier, 'utf8');
      const kept = Number(checkpoint.split('\n')[1]);
      await vandal.sql.query(
        'DELETE FROM audit_events WHERE id IN (SELECT event FROM ledger_entries WHERE position >= $1)',
        [kept],
      );
      await vandal.sql.query('DELETE FROM ledger_entries WHERE position >= $1', [kept]);
      await vandal.rebuild('latchkey.test/eu', newLedgerKey());
      await vandal.sql.query('UPDATE ledger_state SET checkpoint = $1', [checkpoint]);
      assert.equal((await vandal.verify('--key', vkey)).exitCode, 0, 'nothing in it contradicts itself');
      assert.equal((await vandal.verify('--key', vkey, '--pinned', earlier)).exitCode, 0);
      const { exitCode, answer } = await vandal.verify('--key', vkey, '--pinned', latest);
      assert.deepEqual([exitCode, answer.index], [1, kept], JSON.stringify(answer));
      assert.match(answer.reason, new RegExp(`pinned checkpoint is of ${size} entries`));
    },
  );

  tampering('rewrites everything with a new key, which the key or a checkpoint that was kept shows', async (vandal) => {
    const at = await vandal.find('tenant.changed');
    await vandal.rewrite(at, (event) => ({ ...event, region: 'US' }));
    const key = newLedgerKey();
    await vandal.rebuild('latchkey.test/eu', key);
    const { exitCode, answer } = await vandal.verify();
    assert.deepEqual([exitCode, answer.keyPinned], [0, false], 'alone it agrees with itself, and says so');
    await findsAt(vandal, 0, /signed by the ledger|known key/);
    for (const pinned of [earlier, latest]) {
      const caught = await vandal.verify('--pinned', pinned);
      assert.deepEqual([caught.exitCode, caught.answer.index], [1, 0], JSON.stringify(caught.answer));
      assert.match(caught.answer.reason, /the pinned checkpoint has another root/);
    }
    const own = formatVkey('latchkey.test/eu', 'ed25519', publicBytes(key));
    assert.equal((await vandal.verify('--key', own)).exitCode, 0);
  });

  tampering('changes a tile', async (vandal) => {
    await vandal.sql.query(
      `UPDATE ledger_tiles SET hashes = overlay(hashes PLACING '\\x00'::bytea FROM 32 * 40 + 5) WHERE level = 0 AND index = 0`,
    );
    await findsAt(vandal, 40, /tile 0\/0/);
  });

  tampering('takes a tile away', async (vandal) => {
    await vandal.sql.query('DELETE FROM ledger_tiles WHERE level = 1');
    await findsAt(vandal, 0, /tile 1\/0 is gone/);
  });
});

test('an export is verified by itself, and a line that was changed in it is found', async () => {
  const vandal = await newVandal(broker.database, `${broker.database.name}_${copies++}`);
  const path = join(directory, 'export.jsonl');
  try {
    const { runLedger } = await import('../../src/cli/ledger/command.ts');
    const { openLedgerDatabase } = await import('../../src/store/ledger-audit.ts');
    const quiet = { write: () => true };
    const io = { stdout: quiet, stderr: quiet, env: {}, now: Date.now, signal: new AbortController().signal };
    const services = { openDatabase: openLedgerDatabase, acceptRollback: async () => 0 };
    assert.equal(await runLedger(['export', '--database', vandal.auditorUrl, '--out', path], io, services), 0);
  } finally {
    await vandal.drop();
  }
  const whole = await verify('--export', path, '--key', vkey, '--pinned', latest);
  assert.equal(whole.exitCode, 0, JSON.stringify(whole.answer));
  const lines = (await readFile(path, 'utf8')).split('\n');
  const spoilt = async (change: (lines: string[]) => string[]): Promise<[number, number]> => {
    const other = join(directory, 'spoilt.jsonl');
    await writeFile(other, change([...lines]).join('\n'));
    const { exitCode, answer } = await verify('--export', other, '--key', vkey, '--pinned', earlier);
    return [exitCode, answer.index];
  };
  const kept = Number((await readFile(earlier, 'utf8')).split('\n')[1]);
  assert.deepEqual(await spoilt((all) => all.toSpliced(8, 1)), [1, 7], 'a line is missing');
  assert.deepEqual(await spoilt((all) => all.slice(0, 20)), [1, 19], 'the end is missing');
  assert.deepEqual(
    await spoilt((all) => all.with(kept + 5, all[kept + 5]!.replace('"EU"', '"US"'))),
    [1, kept],
    'a field is another, after the checkpoint that was kept',
  );
  assert.deepEqual(await spoilt((all) => all.with(4, all[4]!.replace('"type"', '"type" '))), [1, 3], 'not canonical');
});

function publicBytes(key: ReturnType<typeof newLedgerKey>): Buffer {
  return Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url');
}
