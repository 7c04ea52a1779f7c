import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ReplayDifference, ReplaySummary } from '../../src/ledger/recorded-decisions.ts';
import { replayDecisions } from '../../src/broker/replay-decisions.ts';
import { openPool } from '../../src/store/pool.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';

let broker: TestBroker;
before(async () => {
  broker = await newTestBroker();
});
after(() => broker.stop());

/** Replays as the broker's role, which may read the inputs, through connections that cannot write. */
async function replay(): Promise<ReplaySummary & { readonly found: readonly ReplayDifference[] }> {
  await everythingPlaced();
  const pool = openPool({ url: broker.database.appUrl, size: 2, readOnly: true });
  try {
    const found: ReplayDifference[] = [];
    const summary = await replayDecisions(pool, { difference: (each) => void found.push(each) });
    return { ...summary, found };
  } finally {
    await pool.end();
  }
}

async function everythingPlaced(): Promise<void> {
  const query = 'SELECT count(*)::integer AS left FROM audit_events WHERE id NOT IN (SELECT event FROM ledger_entries)';
  while ((await broker.sql.query<{ left: number }>(query)).rows[0]!.left > 0) await sleep(20);
}

/** Changes something as only a superuser with triggers and foreign keys switched off can, and undoes it. */
async function tampering(change: string, undo: string, values: unknown[], work: () => Promise<void>): Promise<void> {
  const write = async (statement: string): Promise<void> => {
    const client = await broker.sql.connect();
    try {
      await client.query(`SET session_replication_role = 'replica'`);
      await client.query(statement, values);
    } finally {
      await client.query('RESET session_replication_role');
      client.release();
    }
  };
  await write(change);
  try {
    await work();
  } finally {
    await write(undo);
  }
}

test('every decision of a whole story comes out again as it was recorded', async () => {
  const grant = await broker.grant('ada', 'remediate');
  const path = `/v1/grants/${grant.id}/credentials`;
  const dpop = await (await newEngineerKey()).proof('POST', broker.config.publicUrl + path);
  const minted = await broker.call('ada', 'POST', path, { device: grant.devices[0] }, { headers: { dpop } });
  assert.equal(minted.status, 201, JSON.stringify(minted.body));
  const reason = 'the meeting starts early';
  assert.equal((await broker.call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason })).status, 200);
  const asked = await broker.ask('ada', 'remediate');
  const say = { verdict: 'deny', comment: 'not now' };
  assert.equal((await broker.call('chloe', 'POST', `/v1/requests/${asked.id}/decisions`, say)).status, 200);
  const devices = [broker.contoso.devices[0]!.id];
  const wish = { profile: 'remediate', devices, duration: 'PT10M', reason: 'x' };
  assert.equal((await broker.call('zed', 'POST', '/v1/requests', wish)).status, 403);

  const { found, decisions, erased, entries } = await replay();
  assert.deepEqual(found, []);
  assert.equal(erased, 0);
  // Two requests, a yes and a no of a person, the start that rests on the yes, the credential, the end, the refusal.
  assert.equal(decisions, 8);
  assert.ok(entries > 8);
  await broker.checkLedger();
});

test('a role that may not read the inputs replays nothing, and a replay changes nothing', async () => {
  const auditor = openPool({ url: broker.database.auditorUrl, size: 1 });
  await assert.rejects(replayDecisions(auditor, { difference: () => {} }), { code: '42501' });
  await auditor.end();
  const pool = openPool({ url: broker.database.appUrl, size: 1, readOnly: true });
  await assert.rejects(pool.query(`INSERT INTO policy_bundles VALUES ('x', '{}', now())`), { code: '25006' });
  await pool.end();
});

test('inputs that were changed are found at the entry that commits to them', async () => {
  const [event] = await broker.events('request.denied');
  const { inputs } = event.decision;
  const change = `UPDATE disclosures SET value = replace(value, '"room-leads"', '"room-owners"') WHERE commitment = $1`;
  const undo = `UPDATE disclosures SET value = replace(value, '"room-owners"', '"room-leads"') WHERE commitment = $1`;
  await tampering(change, undo, [Buffer.from(inputs, 'base64url')], async () => {
    const { found, erased } = await replay();
    assert.equal(found.length, 1);
    assert.deepEqual(
      [found[0]!.id, found[0]!.type, found[0]!.problem],
      [event.id, 'request.denied', 'the inputs are not what the ledger commits to'],
    );
    assert.equal(erased, 0);
    const { rows } = await broker.sql.query('SELECT position FROM ledger_entries WHERE event = $1', [event.id]);
    assert.equal(found[0]!.index, rows[0].position);
  });
  assert.deepEqual((await replay()).found, []);
});

test('a decision record that was changed behind a credential is found', async () => {
  const [event] = await broker.events('credential.issued');
  const values = [Buffer.from(event.decision, 'base64url')];
  const change = `UPDATE disclosures SET value = value || ' ' WHERE commitment = $1`;
  const undo = 'UPDATE disclosures SET value = rtrim(value) WHERE commitment = $1';
  await tampering(change, undo, values, async () => {
    const { found } = await replay();
    assert.deepEqual(
      found.map(({ id, problem }) => [id, problem]),
      [[event.id, 'the recorded decision is not what the ledger commits to']],
    );
  });
});

test('a bundle that was changed, or is gone, differs in every decision made under it', async () => {
  const { decisions } = await replay();
  const change = `UPDATE policy_bundles SET files = replace(files::text, '@id(', ' @id(')::jsonb`;
  const undo = `UPDATE policy_bundles SET files = replace(files::text, ' @id(', '@id(')::jsonb`;
  await tampering(change, undo, [], async () => {
    const { found, decisions: left } = await replay();
    assert.equal(left, 0);
    assert.equal(found.length, decisions);
    assert.match(found[0]!.problem, /^the policy bundle `sha256:[0-9a-f]{64}` has been changed$/);
  });
  await tampering(
    `UPDATE policy_bundles SET digest = digest || '-'`,
    `UPDATE policy_bundles SET digest = rtrim(digest, '-')`,
    [],
    async () => {
      const { found } = await replay();
      assert.equal(found.length, decisions);
      assert.match(found[0]!.problem, /is gone$/);
    },
  );
});

test('a yes that policy does not give, well committed to, is found', async () => {
  // Whoever can write the ledger and the texts beside it still has to find inputs for which the bundle says yes.
  const [event] = await broker.events('request.refused');
  const forged = { ...event, type: 'request.submitted' };
  const other = { ...event, decisions: [{ ...event.decisions[0], policies: ['somebody-said-so'] }] };
  for (const [written, problem] of [
    [forged, 'what was done is refused'],
    [other, 'other policies decide'],
  ] as const) {
    await withEventBytes(event.id, Buffer.from(JSON.stringify(written)), async () => {
      const { found } = await replay();
      assert.deepEqual(
        found.map((each) => [each.id, each.problem]),
        [[event.id, problem]],
      );
      assert.deepEqual(found[0]!.recorded, written.decisions[0].policies);
    });
  }
});

test('a refusal whose inputs policy allows is found', async () => {
  const [submitted] = await broker.events('request.submitted');
  const written = { ...submitted, type: 'request.refused' };
  await withEventBytes(submitted.id, Buffer.from(JSON.stringify(written)), async () => {
    const { found } = await replay();
    assert.deepEqual(
      found.map((each) => [each.id, each.problem]),
      [[submitted.id, 'what was refused is allowed']],
    );
  });
});

test('an entry that is gone or unreadable is listed, and those around it are replayed', async () => {
  const { decisions } = await replay();
  const [event] = await broker.events('tenant.changed');
  await withEventBytes(event.id, Buffer.from('{"type":"of.tomorrow"}'), async () => {
    const replayed = await replay();
    assert.equal(replayed.decisions, decisions);
    assert.deepEqual(
      replayed.found.map((each) => each.problem),
      ['the entry is no event that this version knows'],
    );
  });
  await broker.sql.query('ALTER TABLE ledger_entries DISABLE TRIGGER USER');
  const shift = (by: string): string => `UPDATE ledger_entries SET at = at ${by} interval '1 s' WHERE event = $1`;
  await tampering(shift('+'), shift('-'), [event.id], async () => {
    const replayed = await replay();
    assert.equal(replayed.decisions, decisions);
    assert.deepEqual(
      replayed.found.map((each) => [each.id, each.problem]),
      [[null, 'the entry is gone']],
    );
  });
});

test('inputs that were erased are counted, and are no difference', async () => {
  const whole = await replay();
  const [credential] = await broker.events('credential.issued');
  const [denied] = await broker.events('request.denied');
  const gone = [credential.decision, denied.decision.inputs].map((text: string) => Buffer.from(text, 'base64url'));
  const { rowCount } = await broker.sql.query('DELETE FROM disclosures WHERE commitment = ANY ($1)', [gone]);
  assert.equal(rowCount, 2);
  const { found, erased, decisions } = await replay();
  assert.deepEqual(found, []);
  assert.deepEqual([erased, decisions], [2, whole.decisions - 2]);
});

test('the command says what differs and ends with 1, and with 0 when nothing does', async () => {
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
  const run = async (
    url: string,
    ...more: string[]
  ): Promise<{ code: number | null; stdout: string; stderr: string }> => {
    const child = spawn(process.execPath, [main, 'ledger', 'replay', '--database', url, ...more]);
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    return { code: code as number | null, stdout, stderr };
  };
  const { appUrl, auditorUrl } = broker.database;
  const good = await run(appUrl);
  assert.deepEqual([good.code, good.stderr], [0, '']);
  assert.match(
    good.stdout,
    /^\d+ decisions in \d+ entries made again: all as recorded; the inputs of 2 have been erased\n$/,
  );
  const auditor = await run(auditorUrl);
  assert.equal(auditor.code, 3);
  assert.match(auditor.stderr, /permission denied for table disclosures\n.*the broker’s role/);
  const [event] = await broker.events('request.refused');
  const other = { ...event, decisions: [{ ...event.decisions[0], policies: ['somebody-said-so'] }] };
  await withEventBytes(event.id, Buffer.from(JSON.stringify(other)), async () => {
    const bad = await run(appUrl, '--json');
    assert.equal(bad.code, 1);
    const [first, last] = bad.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual([first.difference.id, first.difference.recorded], [event.id, ['somebody-said-so']]);
    assert.equal(last.summary.differences, 1);
    assert.match((await run(appUrl)).stdout, /other policies decide: recorded `somebody-said-so`, re-decided `/);
  });
});

/** Rewrites an event as only a superuser with the triggers off can, and puts it back. */
async function withEventBytes(id: string, bytes: Buffer, work: () => Promise<void>): Promise<void> {
  const { rows } = await broker.sql.query<{ bytes: Buffer }>('SELECT bytes FROM audit_events WHERE id = $1', [id]);
  const write = async (text: Buffer): Promise<void> => {
    const client = await broker.sql.connect();
    try {
      await client.query('ALTER TABLE audit_events DISABLE TRIGGER USER');
      for (const { name } of (
        await client.query<{ name: string }>(
          `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass`,
        )
      ).rows) {
        await client.query(`ALTER TABLE ${name} DISABLE TRIGGER USER`);
      }
      await client.query('UPDATE audit_events SET bytes = $2 WHERE id = $1', [id, text]);
    } finally {
      client.release();
    }
  };
  await write(bytes);
  try {
    await work();
  } finally {
    await write(rows[0]!.bytes);
  }
}
