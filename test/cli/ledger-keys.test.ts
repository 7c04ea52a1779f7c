import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runLedger } from '../../src/cli/ledger/command.ts';
import { makeRecoveryKey, signRecoveryStatement } from '../../src/cli/keys/recovery.ts';
import type { Rotation } from '../../src/credentials/rotation.ts';
import { parseCheckpoint, signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { signRecovery } from '../../src/ledger/key-recovery.ts';
import { parseNote } from '../../src/ledger/note.ts';
import { openLedgerDatabase } from '../../src/store/ledger-audit.ts';
import { eventually, ok } from '../broker/support/scenario.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';
import { openTestKeysDesk, type TestKeysDesk } from '../support/keys-desk.ts';
import { newLedgerKey, newRecoveryKey, rotationProof } from '../support/ledger-key.ts';

const origin = 'latchkey.test/eu';
const still = { lead: 3_600_000, overlap: 3_600_000 };
const keys: Partial<Rotation> = {
  times: { credential: still, statement: still, ledger: { lead: 700, overlap: 700 } },
  readEvery: 100,
  askEvery: 50,
};

let broker: TestBroker;
let desk: TestKeysDesk;
let directory: string;
let recoveryKey: string;
/** Oldest first: two planned rotations. */
const chain: string[] = [];
const file = (name: string): string => join(directory, name);
const ring = () => broker.brokers[0]!.context.keys.ledger;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-verify-'));
  recoveryKey = await makeRecoveryKey(origin, file('recovery.json'));
  broker = await newTestBroker({ keys, quiet: true, config: { ledger: { origin, recoveryKey } } });
  desk = await openTestKeysDesk(broker);
  chain.push(ring().vkey);
  await writeFile(file('pinned'), await ok(broker.call(null, 'GET', '/ledger/checkpoint')));
  stolen = ring().signing().privateKey;
  for (let turn = 0; turn < 2; turn++) {
    await desk.rotate('ledger', false);
    await eventually(async () => ring().published().length === 2);
    chain.push(ring().published().at(-1)!.vkey);
    await eventually(async () => ring().published().length === 1);
  }
  await grow();
});
after(async () => {
  await desk.close();
  await broker.stop();
  await rm(directory, { recursive: true });
});
let stolen: Parameters<typeof signCheckpoint>[1];

let tenants = 0;
async function grow(): Promise<void> {
  await ok(broker.call('olu', 'PUT', `/v1/tenants/late-${++tenants}`, { name: 'late', region: 'EU' }), 201);
  await eventually(
    async () =>
      (await broker.sql.query('SELECT FROM ledger_inbox LIMIT 1')).rowCount === 0 &&
      parseNote(await ok(broker.call(null, 'GET', '/ledger/checkpoint'))).signatures.length === 1,
  );
}

async function run(...argv: string[]) {
  let [stdout, stderr] = ['', ''];
  const exitCode = await runLedger(
    argv,
    {
      stdout: { write: (text) => (stdout += String(text)) },
      stderr: { write: (text) => (stderr += String(text)), isTTY: false },
      env: { LATCHKEY_CONFIG_DIR: '/nowhere', LATCHKEY_TOKEN: await broker.issuer.tokenFor(people.aud) },
      now: Date.now,
      signal: new AbortController().signal,
    },
    { openDatabase: openLedgerDatabase, acceptRollback: async () => 0 },
  );
  return { exitCode, stdout, stderr };
}
const sources = (): Record<string, string[]> => ({
  broker: ['--url', broker.brokers[0]!.url],
  database: ['--database', broker.database.auditorUrl],
  export: ['--export', file('export')],
});
async function holds(...argv: string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await run('verify', ...argv);
  assert.equal(exitCode, 0, stdout + stderr);
}
async function fails(reason: RegExp, ...argv: string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await run('verify', ...argv);
  assert.notEqual(exitCode, 0, stdout);
  assert.match(stdout + stderr, reason);
}

/** An export with its manifest spoilt. */
async function spoilt(change: (manifest: Record<string, never>) => object): Promise<string[]> {
  const [first, ...lines] = (await readFile(file('export'), 'utf8')).split('\n');
  const manifest = JSON.parse(first!) as Record<string, never>;
  await writeFile(file('spoilt'), [JSON.stringify({ ...manifest, ...change(manifest) }), ...lines].join('\n'));
  return ['--export', file('spoilt')];
}

test('a ledger verifies from any key that was ever pinned, read from a broker, its database or an export', async () => {
  const exported = await run('export', '--url', broker.brokers[0]!.url, '--out', file('export'));
  assert.equal(exported.exitCode, 0, exported.stderr);
  for (const [name, source] of Object.entries(sources())) {
    for (const key of chain) await holds(...source, '--key', key);
    await holds(...source, '--key', chain[0]!, '--pinned', file('pinned'));
    await holds(...source, '--key', chain[2]!, '--pinned', file('pinned'));
    await fails(/no signature is of a known key/, ...source, '--key', newLedgerKey(origin).vkey);
    assert.ok(name);
  }
  for (const command of ['show', 'proof']) assert.equal((await run(command, '0', ...sources().broker!)).exitCode, 0);
  await writeFile(
    file('foreign'),
    (await readFile(file('pinned'), 'utf8')).replace(/^— \S+ .{8}/m, `— ${origin} AAAAAAAA`),
  );
  await fails(/cannot be held against anything/, ...sources().broker!, '--key', chain[2]!, '--pinned', file('foreign'));
});

test('the first entry that does not hold is named from an old key as well', async () => {
  const text = (await readFile(file('export'), 'utf8')).split('\n');
  text[4] = text[4]!.replace('"region":"EU"', '"region":"US"');
  await writeFile(file('edited'), text.join('\n'));
  const { exitCode, stdout } = await run('verify', '--export', file('edited'), '--key', chain[0]!, '--json');
  assert.equal(exitCode, 1);
  const { index, reason } = JSON.parse(stdout) as { index: number; reason: string };
  assert.ok(index <= 3, `${index}: ${reason}`);
  assert.match(reason, /what the key [0-9a-f]{8} has signed of its successor/);
});

test('without its proofs, or with forged ones, an old key leads nowhere', async () => {
  const old = ['--key', chain[0]!];
  await holds(...(await spoilt(() => ({}))), ...old);
  await fails(/no signature is of a known key/, ...(await spoilt(() => ({ keys: undefined }))), ...old);
  const thief = newLedgerKey(origin);
  const from = { vkey: chain[0]!, privateKey: stolen, key: thief.key };
  const forged = await rotationProof({ from: { ...from, key: thief.key }, to: thief, signedBy: [thief] });
  const served = { recovery: null, rotations: [{ from: chain[0], to: thief.vkey, proof: forged }] };
  const checkpoint = (signed: string) => signCheckpoint(parseCheckpoint(parseNote(signed).text), thief.privateKey);
  await fails(
    /no signature is of a known key/,
    ...(await spoilt((manifest) => ({ keys: served, checkpoint: checkpoint(manifest['checkpoint']!) }))),
    ...old,
  );
  await fails(/cannot|begin with the manifest/, ...(await spoilt(() => ({ keys: { rotations: 'all' } }))), ...old);
});

test('a fork that a thief of the old key proves his own key with is not the ledger that he shows', async () => {
  const thief = newLedgerKey(origin);
  const from = { vkey: chain[0]!, privateKey: stolen, key: thief.key };
  const proof = await rotationProof({ from, to: thief, checkpoint: { origin } });
  const served = { recovery: null, rotations: [{ from: chain[0], to: thief.vkey, proof }] };
  const source = await spoilt((manifest) => ({
    keys: served,
    checkpoint: signCheckpoint(parseCheckpoint(parseNote(manifest['checkpoint']!).text), thief.privateKey),
  }));
  await fails(/has signed of its successor .* (has another root|is of \d+ entries)/, ...source, '--key', chain[0]!);
});

test('a checkpoint that a retired key alone has signed counts for nothing', async () => {
  const source = await spoilt((manifest) => ({
    checkpoint: signCheckpoint(parseCheckpoint(parseNote(manifest['checkpoint']!).text), stolen),
  }));
  await fails(/is signed by the key [0-9a-f]{8} alone, which was replaced by/, ...source, '--key', chain[0]!);
});

test('once the key leaked, the recovery key leads on: history counts up to what it says, and the leaked key no more', async () => {
  await writeFile(file('witnessed'), await ok(broker.call(null, 'GET', '/ledger/checkpoint')));
  const before = ring().signing().privateKey;
  const successor = await desk.prepareRecovery();
  const signing = { keyFile: file('recovery.json'), successor, checkpointFile: file('witnessed'), number: 1 };
  const statement = await signRecoveryStatement(signing);
  await desk.recover(statement);
  await eventually(async () => ring().published().length === 1 && ring().vkey === successor);
  await grow();
  // What is served may be a second old.
  await eventually(async () => (await ok(broker.call(null, 'GET', '/v1/ledger/keys'))).recovery === statement);
  await rm(file('export'));
  assert.equal((await run('export', '--url', broker.brokers[0]!.url, '--out', file('export'))).exitCode, 0);
  for (const source of Object.values(sources())) {
    for (const key of [...chain, successor]) await holds(...source, '--key', key, '--recovery-key', recoveryKey);
    await holds(...source, '--key', successor);
    await holds(...source, '--key', successor, '--recovery-key', recoveryKey, '--pinned', file('pinned'));
    await fails(/give `--recovery-key`, or the new key/, ...source, '--key', chain[2]!);
    await fails(
      /no signature is of a known key/,
      ...source,
      '--key',
      chain[2]!,
      '--recovery-key',
      newRecoveryKey(origin).vkey,
    );
  }
  const signed = (manifest: Record<string, never>) => parseCheckpoint(parseNote(manifest['checkpoint']!).text);
  const trust = ['--key', chain[2]!, '--recovery-key', recoveryKey];
  const byThief = await spoilt((manifest) => ({ checkpoint: signCheckpoint(signed(manifest), before) }));
  await fails(/no signature is of a known key/, ...byThief, ...trust);
  const { privateKey, vkey } = newRecoveryKey(origin);
  const root = Buffer.alloc(32, 1);
  const other = await spoilt((manifest) => ({
    keys: { recovery: signRecovery({ origin, number: 2, successor, size: 3, root }, privateKey), rotations: [] },
    checkpoint: manifest['checkpoint'],
  }));
  await fails(/statement 2 of the recovery key has another root/, ...other, '--key', successor, '--recovery-key', vkey);
});
