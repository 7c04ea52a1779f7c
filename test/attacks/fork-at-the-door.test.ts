import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAgent, type Agent } from '../../src/agent/index.ts';
import { loadKeys } from '../../src/credentials/keys.ts';
import { openDirectoryVault } from '../../src/credentials/directory-vault.ts';
import { parseVkey } from '../../src/ledger/vkey.ts';
import { startBroker, type RunningBroker, type ServeLog } from '../../src/serve.ts';
import { takeBackup, type Backup } from '../support/backup.ts';
import { newTestBroker, type Reply, type TestBroker } from '../support/broker.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { verify } from '../support/vandal.ts';
import { newTestWitness, type TestWitness } from '../witness/support.ts';

// Real agents at real doors. Whoever has all of the broker's keys and a copy of its database stands where the agents look
// for their broker, and shows them a history that the witness, the other brokers and the auditor are never shown.

const origin = 'latchkey.test/eu';
const silent: ServeLog = { info: () => {}, warn: () => {}, error: () => {} };
let directory: string;
let witness: TestWitness;
let honest: TestBroker;
/** One that demands the witness, and one that demands nobody. */
let demanding: Agent;
let trusting: Agent;
let key: EngineerKey;
/** The true checkpoint, as an auditor kept it. */
let pinned: string;
let ledgerKey: string;
let backup: Backup;
/** Whoever listens where the agents look for their broker, once that is not the first broker any more. */
let there: RunningBroker | null = null;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-fork-door-'));
  const secrets = { directory: join(directory, 'secrets') };
  ledgerKey = (await loadKeys(await openDirectoryVault(secrets.directory), origin)).ledger.vkey;
  witness = await newTestWitness([{ origin, key: parseVkey(ledgerKey) }]);
  const witnesses = [{ url: witness.url, key: witness.vkey }];
  honest = await newTestBroker({ brokers: 2, config: { secrets, ledger: { origin, witnesses, witnessesNeeded: 1 } } });
  const enrol = async (name: string): Promise<Agent> => {
    const { body } = await honest.call('olu', 'POST', '/v1/enrolment-codes', { tenant: honest.contoso.id });
    return startAgent({
      brokerUrl: honest.config.publicUrl,
      stateDirectory: join(directory, name),
      enrolmentCode: body.code,
      actions: new Map(),
      facts: () => ({ hostname: name }),
      inUse: () => false,
      ...(name === 'demanding' && { witnesses: { keys: [witness.vkey], needed: 1 } }),
    });
  };
  demanding = await enrol('demanding');
  trusting = await enrol('trusting');
  key = await newEngineerKey();
});
after(async () => {
  await Promise.all([demanding.stop(), trusting.stop()]);
  await there?.stop();
  await honest.stop();
  await backup.drop();
  await witness.remove();
  await rm(directory, { recursive: true, force: true });
});

const device = (agent: Agent): string => agent.device;
const another = (): string => honest.brokers[1]!.url;

/** Calls a broker, again while it has just lost its connections. */
async function callAt(url: string, path: string, body: object, proves = false): Promise<Reply> {
  for (let tries = 0; ; tries++) {
    // A proof is good for one call, whatever came of it.
    const headers = proves ? { dpop: await key.proof('POST', honest.config.publicUrl + path) } : {};
    const reply = await honest.call('ada', 'POST', path, body, { url, headers });
    if (reply.status !== 503 || tries > 20) return reply;
    await sleep(100);
  }
}

/** What `ada` brings to a door: a credential and its receipt, of whichever broker listens there. */
async function bring(url: string, agent: Agent): Promise<{ grant: string; credential: string; receipt: string }> {
  const wish = { profile: 'diagnose', devices: [device(agent)], duration: 'PT10M', reason: 'slow' };
  const asked = await callAt(url, '/v1/requests', wish);
  assert.equal(asked.status, 201, JSON.stringify(asked.body));
  const path = `/v1/grants/${asked.body.grant.id}/credentials`;
  const minted = await callAt(url, path, { device: device(agent) }, true);
  assert.equal(minted.status, 201, JSON.stringify(minted.body));
  return { grant: asked.body.grant.id, ...minted.body };
}

interface Brought {
  readonly credential: string;
  readonly receipt: string;
}

/** Knocks, again while the agent has not heard of the grant yet. @returns 201, or why not. */
async function knock(agent: Agent, { credential, receipt }: Brought): Promise<string> {
  const url = `${agent.doorUrl}/sessions`;
  for (let tries = 0; ; tries++) {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        authorization: `DPoP ${credential}`,
        dpop: await key.proof('POST', url, { token: credential }),
        'latchkey-receipt': Buffer.from(receipt).toString('base64'),
      },
    });
    const { type, detail } = (await response.json()) as { type?: string; detail?: string };
    const said = response.status === 201 ? '201' : `${type?.split(':').at(-1)}: ${detail}`;
    if (!/^(grant-not-live|stale-live-grants)/.test(said) || tries > 150) return said;
    await sleep(100);
  }
}

test('both doors open to what the true history holds', async () => {
  for (const agent of [demanding, trusting]) {
    assert.equal(await knock(agent, await bring(another(), agent)), '201');
  }
  pinned = (await honest.call(null, 'GET', '/ledger/checkpoint')).body;
});

test('a door that demands a witness is not opened by a history which the witness was not shown', async () => {
  backup = await takeBackup(honest.database);
  const secrets = { directory: join(directory, 'copied-secrets') };
  await cp(join(directory, 'secrets'), secrets.directory, { recursive: true });
  // History goes on for those who are shown the true one …
  await bring(another(), demanding);
  // … while the way of the agents leads to somebody with all of the keys, whose ledger never heard of that.
  await honest.brokers[0]!.stop();
  const ledger = { origin, witnesses: [], witnessesNeeded: 0 };
  there = await startBroker(
    { ...honest.config, database: { url: backup.appUrl, poolSize: 5 }, secrets, ledger },
    silent,
  );
  const forged = await bring(there.url, demanding);
  assert.equal(
    await knock(demanding, forged),
    'bad-receipt: the receipt does not hold: the checkpoint is cosigned by 0 witnesses, 1 are needed',
  );
  // The witness's word for the true history, put under the forged one, is none.
  const cosignature = pinned.split('\n').at(-2)!;
  const moved = { ...forged, receipt: `${forged.receipt}${cosignature}\n` };
  assert.match(await knock(demanding, moved), /^bad-receipt: .*signature/);
  assert.equal(demanding.refusals()['bad-receipt'], 2);
});

test('a door that demands nobody is opened by it; the auditor sees that it is another history', async () => {
  assert.equal(await knock(trusting, await bring(there!.url, trusting)), '201');
  const file = join(directory, 'pinned');
  // Both have signed more than what was common to them, each its own.
  await writeFile(file, (await honest.call(null, 'GET', '/ledger/checkpoint', undefined, { url: another() })).body);
  const url = new URL(honest.database.auditorUrl);
  url.pathname = new URL(backup.appUrl).pathname;
  const { exitCode, answer } = await verify('--database', url.href, '--key', ledgerKey, '--pinned', file);
  assert.equal(exitCode, 1);
  assert.match(answer.reason, /pinned checkpoint/);
});

test('once its way leads back to the truth, what that door tells of the session is an alarm', async () => {
  await there!.stop();
  there = await startBroker(honest.config, silent);
  // A list with a higher version than any the forger has sent: the forged grant is not in it, and its session ends.
  assert.equal(await knock(trusting, await bring(another(), trusting)), '201');
  const alarm = `SELECT 1 FROM alarms WHERE kind = 'unknown-grant' AND NOT EXISTS (SELECT FROM grants WHERE id = subject)`;
  for (let tries = 0; (await honest.sql.query(alarm)).rowCount !== 1; tries++) {
    assert.ok(tries < 100, 'nobody has raised the alarm');
    await sleep(100);
  }
  await honest.checkLedger();
});
