import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { runLedger } from '../../src/cli/ledger/command.ts';
import { leafHash } from '../../src/ledger/merkle.ts';
import { openCheckpoint } from '../../src/ledger/checkpoint.ts';
import { verifyInclusion } from '../../src/ledger/merkle-verify.ts';
import { parseProofText } from '../../src/ledger/proof-text.ts';
import { parseVkey } from '../../src/ledger/vkey.ts';
import { startBroker, type ServeLog } from '../../src/serve.ts';
import { openLedgerDatabase } from '../../src/store/ledger-audit.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';

let broker: TestBroker;
let url: string;
let vkey: string;

before(async () => {
  broker = await newTestBroker();
  url = broker.brokers[0]!.url;
  vkey = broker.brokers[0]!.context.keys.ledger.vkey;
  for (let i = 0; i < 260; i++) {
    await broker.call('olu', 'PUT', '/v1/tenants/fabrikam', { name: `Fabrikam ${i}`, region: 'EU' });
  }
  while ((await broker.sql.query('SELECT FROM ledger_inbox LIMIT 1')).rowCount! > 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});
after(() => broker.stop());

const run = (who: keyof typeof people | null, terminal: boolean, ...argv: string[]) =>
  runUntil(new AbortController().signal, who, terminal, ...argv);

const runUntil = async (signal: AbortSignal, who: keyof typeof people | null, terminal: boolean, ...argv: string[]) => {
  let [stdout, stderr] = ['', ''];
  const token = who && (await broker.issuer.tokenFor(people[who]));
  const exitCode = await runLedger(
    argv,
    {
      stdout: { write: (text) => (stdout += String(text)) },
      stderr: { write: (text) => (stderr += String(text)), isTTY: terminal },
      env: { LATCHKEY_CONFIG_DIR: '/nowhere', ...(token !== null && { LATCHKEY_TOKEN: token }) },
      now: Date.now,
      signal,
    },
    { openDatabase: openLedgerDatabase, acceptRollback: async () => 0 },
  );
  return { exitCode, stdout, stderr };
};

test('an auditor verifies a whole ledger over http, with a bar on a terminal', async () => {
  const { exitCode, stdout, stderr } = await run('aud', true, 'verify', '--url', url, '--key', vkey);
  assert.equal(exitCode, 0, stdout + stderr);
  assert.match(stdout, /^latchkey\.test\/eu: \d+ entries hold, .*\nroot [A-Za-z0-9+/]{43}=\n$/);
  assert.match(stderr, /\[[#.]{30}\] \d+ of \d+ entries/);
  const plain = await run('aud', false, 'verify', '--url', url);
  assert.equal(plain.stderr, '');
  assert.match(plain.stdout, /note: no key was given/);
});

test('another key than the ledger’s is told from its own', async () => {
  // The base64 of the key may hold a plus sign too.
  const [name, , ...key] = vkey.split('+');
  const other = await run('aud', false, 'verify', '--url', url, '--key', `${name}+00000000+${key.join('+')}`);
  assert.deepEqual([other.exitCode, /id of the verifier key/.test(other.stderr)], [2, true]);
});

test('whoever may not read the ledger is told so, and so is who is not signed in', async () => {
  assert.equal((await run('ada', false, 'verify', '--url', url)).exitCode, 3);
  assert.equal((await run(null, false, 'verify', '--url', url)).exitCode, 4);
  assert.equal((await run('aud', false, 'verify', '--url', 'http://127.0.0.1:1')).exitCode, 5);
  assert.equal((await run('aud', false, 'verify', '--url', url, '--database', 'postgres://x')).exitCode, 2);
  assert.equal((await run('aud', false, 'verify', '--database', 'postgres://127.0.0.1:1/x')).exitCode, 5);
});

test('one entry is shown, and proved to whoever has the key', async () => {
  const shown = await run('aud', false, 'show', '258', '--url', url, '--json');
  const { index, event } = JSON.parse(shown.stdout);
  assert.deepEqual([index, event.type], [258, 'tenant.changed']);
  for (const source of [
    ['--url', url],
    ['--database', broker.database.auditorUrl],
  ]) {
    const { exitCode, stdout } = await run('aud', false, 'proof', '258', ...source);
    assert.equal(exitCode, 0);
    const proof = parseProofText(stdout);
    const key = parseVkey(vkey);
    const { checkpoint } = openCheckpoint(proof.checkpoint, { origin: key.name, ledgerKeys: [key] });
    const { size, root } = checkpoint;
    const included = { index: 258, size, root, proof: proof.hashes, leafHash: leafHash(proof.extra!) };
    assert.deepEqual(verifyInclusion(included), { ok: true });
    assert.deepEqual(JSON.parse(Buffer.from(proof.extra!).toString('utf8')), event);
  }
  const beyond = await run('aud', false, 'show', '100000', '--url', url);
  assert.deepEqual([beyond.exitCode, /none at 100000/.test(beyond.stderr)], [1, true]);
});

test('a broker that limits how fast it is read is read to the end, or until somebody has enough', async () => {
  const limit = { perSecond: 1, burst: 1 };
  const rateLimits = { person: limit, device: limit, address: limit };
  const silent: ServeLog = { info: () => {}, warn: () => {}, error: () => {} };
  const slow = await startBroker({ ...broker.config, listen: { host: '127.0.0.1', port: 0 }, rateLimits }, silent);
  try {
    const verified = await run('aud', false, 'verify', '--url', slow.url, '--key', vkey);
    assert.equal(verified.exitCode, 0, verified.stderr);
    const began = performance.now();
    const { exitCode, stderr } = await runUntil(AbortSignal.timeout(300), 'aud', false, 'verify', '--url', slow.url);
    assert.deepEqual([exitCode, stderr], [1, 'latchkey: interrupted\n']);
    assert.ok(performance.now() - began < 900);
  } finally {
    await slow.stop();
  }
});
