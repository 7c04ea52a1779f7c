import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ConfigError, parseConfig } from '../../src/config.ts';
import { loadKeys } from '../../src/credentials/keys.ts';
import { openDirectoryVault } from '../../src/credentials/directory-vault.ts';
import { openNote } from '../../src/ledger/note-signatures.ts';
import { parseNote } from '../../src/ledger/note.ts';
import { parseProofText } from '../../src/ledger/proof-text.ts';
import { formatVkey, parseVkey, type VerifierKey } from '../../src/ledger/vkey.ts';
import { startBroker, type RunningBroker, type ServeLog } from '../../src/serve.ts';
import { acceptRollback } from '../../src/broker/accept-rollback.ts';
import { takeBackup, type Backup } from '../support/backup.ts';
import { freePort, newTestBroker, type Reply, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { newTestLog, newTestWitness, type TestWitness } from '../witness/support.ts';

const origin = 'latchkey.test/eu';
let directory: string;
let secrets: string;
let ledgerKey: VerifierKey;
/** Each test has a ledger of its own, and so keys and a mark of its own. */
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-witnesses-'));
  secrets = join(directory, 'secrets');
  ledgerKey = parseVkey((await loadKeys(await openDirectoryVault(secrets), origin)).ledger.vkey);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function configOf(witnesses: readonly { url: string; vkey: string }[], needed: number): object {
  const ledger = { origin, witnesses: witnesses.map(({ url, vkey }) => ({ url, key: vkey })), witnessesNeeded: needed };
  return { secrets: { directory: secrets }, ledger };
}

async function mint(broker: TestBroker): Promise<Reply> {
  const grant = await broker.grant('ada', 'diagnose');
  const key = await newEngineerKey();
  const path = `/v1/grants/${grant.id}/credentials`;
  const dpop = await key.proof('POST', broker.config.publicUrl + path);
  return broker.call('ada', 'POST', path, { device: grant.devices[0] }, { headers: { dpop } });
}

/** After all its connections were cut, a broker may tell the first calls to come back. */
async function mintAgain(broker: TestBroker): Promise<Reply> {
  for (let attempt = 0; ; attempt++) {
    const reply = await mint(broker).catch((error: unknown) => {
      if (attempt >= 20) throw error;
      return null;
    });
    if (reply && (reply.status === 201 || attempt >= 20)) return reply;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function cosignersOf(note: string, keys: readonly VerifierKey[]): string[] {
  const { verified } = openNote(note, [ledgerKey, ...keys]);
  return verified.flatMap(({ key, timestamp }) => (timestamp === null ? [] : [`${key.name}+${key.id}`]));
}

/** The key of a witness that does not run. */
function witnessKey(): string {
  const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  return formatVkey('witness.test/w2', 'cosignature', Buffer.from(x!, 'base64url'));
}

/** A witness that does nothing as it should. */
async function startBadWitness(answer: (body: string) => [status: number, body: string]) {
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const [status, body] = answer(Buffer.concat(chunks).toString());
      response.writeHead(status).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

test('two brokers on one database come to receipts that two of three witnesses have cosigned', async () => {
  const running: TestWitness[] = [];
  for (let i = 0; i < 2; i++) running.push(await newTestWitness([{ origin, key: ledgerKey }]));
  const gone = { url: `http://127.0.0.1:${await freePort()}`, vkey: witnessKey() };
  const broker = await newTestBroker({ brokers: 2, config: configOf([...running, gone], 2) });
  try {
    const keys = running.map(({ key }) => key);
    const minted = await Promise.all(Array.from({ length: 12 }, () => mint(broker)));
    for (const { status, body } of minted) {
      assert.equal(status, 201, JSON.stringify(body));
      assert.equal(cosignersOf(parseProofText(body.receipt as string).checkpoint, keys).length, 2);
    }
    // With nothing more to be sequenced, the newest checkpoint gets its cosignatures.
    let newest = '';
    for (let i = 0; i < 100 && parseNote(newest || (newest = await checkpoint(broker))).signatures.length < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      newest = await checkpoint(broker);
    }
    assert.equal(cosignersOf(newest, keys).length, 2);
    await broker.checkLedger();
  } finally {
    await broker.stop();
    for (const witness of running) await witness.remove();
  }
});

async function checkpoint(broker: TestBroker): Promise<string> {
  return (await broker.call(null, 'GET', '/ledger/checkpoint')).body as string;
}

test('a witness that is away, slow or wrong holds up nobody unless it is needed', async () => {
  const other = newTestLog().vkey;
  const bad = [
    await startBadWitness(() => [500, '']),
    await startBadWitness(() => [200, `— ${other}\n`]),
    await startBadWitness(() => [200, 'x'.repeat(100_000)]),
    await startBadWitness((body) => [200, body.slice(body.indexOf('\n\n') + 2)]),
  ];
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const urls = [...bad.map(({ url }) => url), `http://127.0.0.1:${(silent.address() as AddressInfo).port}`];
  const vkeys = urls.map(witnessKey);
  const witnesses = urls.map((url, i) => ({ url, vkey: vkeys[i]! }));
  const broker = await newTestBroker({ config: configOf(witnesses, 0) });
  try {
    const started = performance.now();
    const minted = await mint(broker);
    assert.equal(minted.status, 201, JSON.stringify(minted.body));
    assert.ok(performance.now() - started < 900, 'nobody waits for them');
    assert.deepEqual(cosignersOf(await checkpoint(broker), vkeys.map(parseVkey)), []);
    assert.equal(broker.brokers[0]!.context.ledger.behind(), false);
    const { rows } = await broker.sql.query('SELECT FROM ledger_cosignatures');
    assert.equal(rows.length, 0);
  } finally {
    await broker.stop();
    for (const witness of bad) await witness.stop();
    silent.close().closeAllConnections();
  }
});

test('while a witness that is needed is away there is no receipt, and there is one when it is back', async () => {
  const state = await newTestWitness([{ origin, key: ledgerKey }]);
  await state.stop();
  const port = await freePort();
  const broker = await newTestBroker({ config: configOf([{ url: `http://127.0.0.1:${port}`, vkey: state.vkey }], 1) });
  try {
    const refused = await mint(broker);
    assert.equal(refused.status, 503, JSON.stringify(refused.body));
    assert.ok(refused.headers.get('retry-after'));
    const back = await newTestWitness([{ origin, key: ledgerKey }], state.directory, port);
    let minted = await mint(broker);
    for (let i = 0; i < 5 && minted.status === 503; i++) minted = await mint(broker);
    assert.equal(minted.status, 201, JSON.stringify(minted.body));
    await back.remove();
    await broker.checkLedger();
  } finally {
    await broker.stop();
  }
});

test('a broker whose database has lost what a witness has seen signs nothing until an operator accepts it', async () => {
  const witness = await newTestWitness([{ origin, key: ledgerKey }]);
  const broker = await newTestBroker({ config: configOf([witness], 1) });
  const lines: { message: string }[] = [];
  const say = (_: object, message: string) => void lines.push({ message });
  const log = { info: say, warn: say, error: say } as unknown as ServeLog;
  const late: RunningBroker[] = [];
  const listen = { host: '127.0.0.1', port: 0 };
  let backup: Backup | undefined;
  try {
    backup = await takeBackup(broker.database);
    assert.equal((await mintAgain(broker)).status, 201);
    await broker.brokers[0]!.stop();
    // The mark in the vault is gone too: the witness alone remembers.
    await (await openDirectoryVault(secrets)).remove('ledger-high-water');
    const old = { ...broker.config, database: { url: backup.appUrl, poolSize: 5 }, listen };
    const behind = await startBroker(old, log);
    late.push(behind);
    assert.equal(behind.context.ledger.behind(), true);
    assert.ok(lines.some(({ message }) => /a witness has seen a tree of the ledger/.test(message)));
    const { size, checkpoint: kept } = await behind.context.ledger.state();

    const lost = await acceptRollback(behind.context, await openDirectoryVault(secrets));
    assert.ok(lost && lost.from > lost.to && lost.to === size, JSON.stringify(lost));
    assert.equal((await behind.context.ledger.state()).checkpoint, kept, 'nothing was signed meanwhile');
    const deadline = performance.now() + 10_000;
    while (behind.context.ledger.behind() && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.equal(behind.context.ledger.behind(), false, 'it goes on by itself');
    const again = await startBroker(old, log);
    late.push(again);
    assert.equal(again.context.ledger.behind(), false, 'what was accepted is not asked about again');
  } finally {
    for (const each of late) await each.stop();
    await backup?.drop();
    await broker.stop();
    await witness.remove();
  }
});

test('mistakes in the configuration of witnesses are told with their places', () => {
  const witness = witnessKey();
  const base = {
    publicUrl: 'http://127.0.0.1:1',
    listen: { host: '127.0.0.1', port: 0 },
    region: 'EU',
    database: { url: 'postgres://localhost/x' },
    identityProviders: [{ issuer: 'https://login.example', audience: 'latchkey', claims: { subject: 'oid' } }],
    policies: 'policies',
    secrets: { directory: 'secrets' },
  };
  const mistakes = (ledger: object): string[] => {
    try {
      parseConfig({ ...base, ledger: { origin, ...ledger } });
    } catch (error) {
      if (error instanceof ConfigError) return error.mistakes.map(({ pointer }) => pointer);
      throw error;
    }
    return [];
  };
  const url = 'https://witness.example';
  assert.deepEqual(mistakes({}), []);
  assert.deepEqual(mistakes({ witnesses: [{ url, key: witness }], witnessesNeeded: 1 }), []);
  for (const wrong of ['witness.example', 'http://witness.example', 'https://a:b@witness.example', `${url}/`]) {
    assert.deepEqual(mistakes({ witnesses: [{ url: wrong, key: witness }] }), ['/ledger/witnesses/0/url'], wrong);
  }
  for (const key of ['key', newTestLog().vkey]) {
    assert.deepEqual(mistakes({ witnesses: [{ url, key }] }), ['/ledger/witnesses/0/key']);
  }
  const twice = [
    { url, key: witness },
    { url, key: witness },
  ];
  assert.deepEqual(mistakes({ witnesses: twice, witnessesNeeded: 2 }), [
    '/ledger/witnesses/1/key',
    '/ledger/witnessesNeeded',
  ]);
  assert.deepEqual(mistakes({ witnessesNeeded: 1 }), ['/ledger/witnessesNeeded']);
});
