import assert from 'node:assert/strict';
import { rename, stat, writeFile } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { newTestBroker, people, type TestBroker } from '../../support/broker.ts';
import {
  grow,
  linesOf,
  newFolder,
  sequencesOf,
  startCollector,
  upTo,
  watch,
  type Collector,
  type Folder,
} from './support.ts';

let broker: TestBroker;
let size: number;
let folder: Folder;
let collector: Collector;
before(async () => {
  broker = await newTestBroker();
  const grant = await broker.grant('ada', 'remediate', { reason: 'canary-reason' });
  const revoked = await broker.call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'canary-end' });
  assert.equal(revoked.status, 200);
  size = await grow(broker, 1_100);
});
after(() => broker.stop());
beforeEach(async () => {
  [folder, collector] = [await newFolder(), await startCollector()];
});
afterEach(() => Promise.all([folder.remove(), collector.stop()]));

const database = (): string[] => ['--database', broker.database.auditorUrl];
const ledgerOnce = (...more: string[]): string[] => [...database(), '--once', ...more];
const takenSequences = (): number[] => sequencesOf(collector.taken.flat());

test('the whole ledger goes to standard output, each entry once, without anybody’s name or words', async () => {
  const { code, stdout, stderr } = await watch(ledgerOnce());
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(sequencesOf(linesOf(stdout)), upTo(size));
  for (const canary of ['canary', 'Okafor', 'Marchetti', 'provider.example'])
    assert.ok(!stdout.includes(canary), canary);
  const ended = linesOf(stdout)
    .map((line) => JSON.parse(line))
    .find((event) => event.type_uid === 300502);
  const [started] = await broker.events('grant.started');
  assert.equal(ended.user.uid, started.person);
  assert.deepEqual(ended.privileges, started.scopes);
});

test('as JSON, each line is an entry with its index', async () => {
  const { stdout } = await watch(ledgerOnce('--format', 'json'));
  const lines = linesOf(stdout).map((line) => JSON.parse(line) as { index: number; event: { id: string } });
  assert.deepEqual(
    lines.map(({ index }) => index),
    upTo(size),
  );
  const { rows } = await broker.sql.query('SELECT event FROM ledger_entries ORDER BY position');
  assert.deepEqual(
    lines.map(({ event }) => event.id),
    rows.map(({ event }) => event),
  );
});

test('over the API an auditor gets the same stream, and a tenant’s approver that of their tenant', async () => {
  const over = async (who: 'aud' | 'felix'): Promise<string[]> => {
    const env = {
      LATCHKEY_TOKEN: await broker.issuer.tokenFor(people[who]),
      LATCHKEY_CONFIG_DIR: folder.path('config'),
    };
    const { code, stdout, stderr } = await watch(['--url', broker.config.publicUrl, '--once', '--format', 'json'], {
      env,
    });
    assert.deepEqual([code, stderr], [0, '']);
    return linesOf(stdout);
  };
  const { stdout } = await watch(ledgerOnce('--format', 'json'));
  assert.deepEqual(
    (await over('aud')).map((line) => JSON.parse(line)),
    linesOf(stdout).map((line) => JSON.parse(line)),
  );
  const felix = (await over('felix')).map((line) => JSON.parse(line) as { event: { tenant: string } });
  assert.ok(felix.length > 0 && felix.every(({ event }) => event.tenant === broker.fabrikam.id));
});

test('whoever is not signed in is told so', async () => {
  const env = { LATCHKEY_CONFIG_DIR: folder.path('config') };
  const { code, stderr } = await watch(['--url', broker.config.publicUrl, '--once'], { env });
  assert.equal(code, 4);
  assert.match(stderr, /not signed in/);
});

test('a sink that fails half-way gets nothing twice that it took, and misses nothing', async () => {
  const troubles = [{ status: 503 }, 'hang-up', { status: 429, headers: { 'retry-after': '0' } }] as const;
  collector.react = (call) => troubles[call - 3] ?? { status: 200 };
  const argv = ledgerOnce('--to', collector.url, '--state', folder.path('state'));
  const { code, stderr } = await watch(argv);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^latchkey: the sink `http:\/\/127.0.0.1:\d+` takes nothing: it answers 503; trying again\n$/);
  assert.deepEqual(takenSequences(), upTo(size));
  assert.ok(collector.calls.length > collector.taken.length);
});

test('a sink that refuses ends the stream, and the next run goes on exactly there', async () => {
  collector.react = (call) => ({ status: call === 3 ? 403 : 200 });
  const argv = ledgerOnce('--to', collector.url, '--state', folder.path('state'));
  const first = await watch(argv);
  assert.equal(first.code, 1);
  assert.match(first.stderr, /refuses the batch \(403\)/);
  assert.ok(takenSequences().length > 0 && takenSequences().length < size);
  assert.equal(JSON.parse(await folder.read('state')).next, takenSequences().length);
  assert.equal((await watch(argv)).code, 0);
  assert.deepEqual(takenSequences(), upTo(size));
  assert.equal((await watch(argv)).code, 0);
  assert.equal(takenSequences().length, size, 'what was taken came again');
});

test('a sink that finds a batch too large gets smaller ones', async () => {
  collector.react = (_, body) => ({ status: linesOf(body).length > 40 ? 413 : 200 });
  assert.equal((await watch(ledgerOnce('--to', collector.url))).code, 0);
  assert.deepEqual(takenSequences(), upTo(size));
  assert.ok(collector.taken.every((batch) => batch.length <= 40));
});

test('a sink that sends elsewhere is not followed there', async () => {
  const elsewhere = await startCollector();
  try {
    collector.react = () => ({ status: 307, headers: { location: elsewhere.url } });
    const { code, stderr } = await watch(ledgerOnce('--to', collector.url));
    assert.equal(code, 1);
    assert.match(stderr, /sends us elsewhere \(307\), which is not followed/);
    assert.equal(elsewhere.calls.length, 0);
  } finally {
    await elsewhere.stop();
  }
});

test('a batch is JSON Lines or an array, with the authorization that the environment holds', async () => {
  const env = { LATCHKEY_SINK_AUTHORIZATION: 'Splunk s3cret' };
  assert.equal((await watch(ledgerOnce('--to', collector.url), { env })).code, 0);
  assert.equal((await watch(ledgerOnce('--to', collector.url, '--body', 'array'), { env })).code, 0);
  assert.deepEqual(takenSequences(), [...upTo(size), ...upTo(size)]);
  assert.deepEqual(
    new Set(collector.calls.map(({ headers }) => headers['content-type'])),
    new Set(['application/x-ndjson', 'application/json']),
  );
  assert.ok(collector.calls.every(({ headers }) => headers.authorization === 'Splunk s3cret'));
});

test('a file gets each entry once, also when a crash cut a line short', async () => {
  const file = folder.path('ledger.jsonl');
  assert.equal((await watch(ledgerOnce('--to', file))).code, 0);
  const whole = await folder.read('ledger.jsonl');
  assert.deepEqual(sequencesOf(linesOf(whole)), upTo(size));
  for (const left of [0, 1, 5_000, Math.floor(whole.length / 2), whole.length - 1]) {
    await writeFile(file, whole.slice(0, left));
    assert.equal((await watch(ledgerOnce('--to', file))).code, 0);
    assert.equal(await folder.read('ledger.jsonl'), whole, `cut after ${left}`);
  }
  if (process.platform !== 'win32') assert.equal((await stat(file)).mode & 0o077, 0);
});

test('a file that is moved away is begun anew where the state says', async () => {
  const file = folder.path('ledger.jsonl');
  const argv = ledgerOnce('--to', file, '--state', folder.path('state'));
  assert.equal((await watch(argv)).code, 0);
  await rename(file, folder.path('old.jsonl'));
  size = await grow(broker, 3);
  assert.equal((await watch(argv)).code, 0);
  assert.deepEqual(sequencesOf(linesOf(await folder.read('ledger.jsonl'))), upTo(size).slice(-3));
});

test('a file that holds something else is left as it is', async () => {
  for (const text of ['milk\neggs\n', 'milk', '{"class_uid":3}\nmilk', '{"index":0}\n', '\n']) {
    await writeFile(folder.path('notes.txt'), text);
    const { code, stderr } = await watch(ledgerOnce('--to', folder.path('notes.txt')));
    assert.equal(code, 1);
    assert.match(stderr, /holds something else than a stream/);
    assert.equal(await folder.read('notes.txt'), text);
  }
});

test('a stream is not gone on with on another ledger, or on one that was rolled back', async () => {
  const last = { index: size - 1, id: 'evt_01kc5r0000e3p9y5n6q7r8s9tk' };
  for (const [state, words] of [
    [{ next: size, last }, /was passed on as `evt_01kc5r0000e3p9y5n6q7r8s9tk`, and is `evt_/],
    [{ next: size + 1, last: { ...last, index: size } }, /the ledger has \d+ entries, and \d+ have been passed on/],
    ['next: 5', /holds no state of a stream/],
    [{ next: -1, last: null }, /holds no state of a stream/],
  ] as const) {
    await writeFile(folder.path('state'), typeof state === 'string' ? state : JSON.stringify(state));
    const { code, stdout, stderr } = await watch(ledgerOnce('--state', folder.path('state')));
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, words);
  }
});

test('who follows gets what comes, until told to stop', async () => {
  const stop = new AbortController();
  let seen = 0;
  let notice: () => void = () => {};
  const onStdout = (text: string): void => {
    seen = text.split('\n').length - 1;
    notice();
  };
  const reached = (count: number): Promise<void> =>
    new Promise((resolve) => {
      notice = () => void (seen >= count && resolve());
      notice();
    });
  const running = watch([...database()], { signal: stop.signal, onStdout });
  await reached(size);
  size = await grow(broker, 2);
  await reached(size);
  stop.abort();
  const { code, stdout } = await running;
  assert.equal(code, 0);
  assert.deepEqual(sequencesOf(linesOf(stdout)), upTo(size));
  await broker.checkLedger();
});

const wrong: readonly (readonly [what: string, argv: readonly string[], words: RegExp])[] = [
  ['no ledger', [], /either `--url` or `--database`/],
  ['two ledgers', ['--url', 'https://a.example', '--database', 'postgres://b'], /either `--url` or `--database`/],
  ['an unknown form', ['--database', 'x', '--format', 'cef'], /`--format` is one of `ocsf`, `json`/],
  ['an unknown option', ['--database', 'x', '--follow'], /--follow/],
  ['a sink over plain http', ['--database', 'postgres://b', '--to', 'http://siem.example/x'], /plain http/],
  [
    'a password in the address',
    ['--database', 'postgres://b', '--to', 'https://a:b@siem.example/'],
    /carries a password/,
  ],
  ['a broker over plain http', ['--url', 'http://latchkey.example'], /plain http/],
];
for (const [what, argv, words] of wrong) {
  test(`${what} is wrong usage`, async () => {
    const { code, stdout, stderr } = await watch(argv);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, words);
  });
}

test('a database that is not there is waited for by who follows, and given up by who does not', async () => {
  const nowhere = ['--database', 'postgres://nobody@127.0.0.1:1/none'];
  assert.equal((await watch([...nowhere, '--once'])).code, 5);
  const { code, stderr } = await watch(nowhere, { signal: AbortSignal.timeout(300) });
  assert.deepEqual([code, stderr], [0, 'latchkey: the database cannot serve this now; trying again\n']);
});
