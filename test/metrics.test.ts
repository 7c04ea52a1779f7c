import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBroker, type ServeLog } from '../src/serve.ts';
import { newTestBroker, people, type TestBroker } from './support/broker.ts';
import { startCutProxy, type CutProxy } from './support/cut-proxy.ts';
import { startKeyVault, type TestKeyVault } from './support/key-vault.ts';
import { openLiveStream } from './support/live-stream.ts';

const silent: ServeLog = { info: () => {}, warn: () => {}, error: () => {} };
const here = { host: '127.0.0.1', port: 0 };

let broker: TestBroker;
let way: CutProxy;
let vault: TestKeyVault;
before(async () => {
  vault = await startKeyVault();
  process.env.LATCHKEY_KEY_VAULT_TOKEN = vault.token;
  broker = await newTestBroker({
    config: { metrics: here, secrets: { keyVault: vault.url } },
    async databaseUrl(url) {
      way = await startCutProxy(url);
      const through = new URL(url);
      through.hostname = '127.0.0.1';
      through.port = String(way.port);
      return through.href;
    },
  });
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
  await Promise.all([way.stop(), vault.stop()]);
});

const at = (path: string, init?: RequestInit): Promise<Response> =>
  fetch(broker.brokers[0]!.metricsUrl + path, { ...init, headers: { connection: 'close' } });

/** What is said now: each line's value by its name and labels. */
async function figures(): Promise<Map<string, number>> {
  const response = await at('/metrics');
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const split = line.lastIndexOf(' ');
      return [line.slice(0, split), Number(line.slice(split + 1))];
    }),
  );
}

/** The figures once they satisfy: what all brokers share is counted every five seconds. */
async function until(wanted: (found: Map<string, number>) => boolean): Promise<Map<string, number>> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = await figures();
    if (wanted(found)) return found;
    assert.ok(Date.now() < deadline, JSON.stringify([...found].filter(([name]) => name.startsWith('latchkey_'))));
    await new Promise((later) => setTimeout(later, 200));
  }
}

describe('the figures of a broker', () => {
  test('say what is in force and connected, how calls went, and nothing of anybody', async () => {
    await broker.grant('ada', 'remediate');
    assert.equal((await broker.call('zed', 'GET', '/v1/me')).status, 200);
    assert.equal((await broker.call('ada', 'GET', '/no/such/path?of=Ada')).status, 404);
    const stream = await openLiveStream(broker.contoso.devices[0]!, broker.brokers[0]!.url);
    await stream.next();
    const found = await until(
      (now) => now.get('latchkey_grants_live') === 1 && now.get('latchkey_ledger_waiting') === 0,
    );
    assert.equal(found.get('latchkey_ready'), 1);
    assert.equal(found.get('latchkey_streams'), 1);
    assert.equal(found.get('latchkey_alarms_open'), 0);
    assert.equal(found.get('latchkey_database_up'), 1);
    assert.equal(found.get('latchkey_ledger_behind'), 0);
    assert.equal(found.get('latchkey_ledger_lag_seconds'), 0);
    const { rows } = await broker.sql.query<{ size: string }>('SELECT size FROM ledger_state');
    assert.ok(found.get('latchkey_ledger_size')! <= Number(rows[0]!.size) && found.get('latchkey_ledger_size')! > 5);
    assert.equal(found.get('latchkey_http_calls_total{method="GET",route="/v1/me",status="200"}'), 1);
    assert.equal(found.get('latchkey_http_calls_total{method="POST",route="/v1/requests",status="201"}'), 1);
    assert.equal(found.get('latchkey_http_calls_total{method="GET",route="none",status="404"}'), 1);
    assert.equal(found.get('latchkey_http_call_seconds_count{method="POST",route="/v1/requests"}'), 1);
    assert.ok(found.get('process_resident_memory_bytes')! > 1_000_000);
    assert.ok(found.get('nodejs_eventloop_lag_p99_seconds')! >= 0);
    stream.close();
    await until((now) => now.get('latchkey_streams') === 0);
    const text = await (await at('/metrics')).text();
    assert.match(text, /latchkey_http_calls_total\{method="GET",route="\/v1\/agent\/stream",status="200"\} 1/);
    assert.doesNotMatch(text, /call_seconds_count\{.*stream/);
    for (const { name } of Object.values(people)) assert.ok(!text.includes(name), name);
    assert.doesNotMatch(text, /(per|dev|grt|req|ten)_[0-9a-z]{26}|panel frozen|no\/such/);
  });

  test('are at one place, for who only reads', async () => {
    assert.equal((await at('/')).status, 404);
    assert.equal((await at('/metrics/x')).status, 404);
    assert.equal((await at('/metrics', { method: 'POST', body: 'x' })).status, 405);
    const head = await at('/metrics', { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    assert.equal((await broker.call('olu', 'GET', '/metrics')).status, 404, 'it is no part of the API');
  });

  test('show the vault’s circuit breaker open while the vault is away, and closed when it is back', async () => {
    assert.equal((await figures()).get('latchkey_vault_circuit{state="closed"}'), 1);
    await vault.stop();
    const away = await until((now) => now.get('latchkey_vault_circuit{state="open"}') === 1);
    assert.equal(away.get('latchkey_vault_circuit{state="closed"}'), 0);
    assert.ok(away.get('latchkey_vault_away_seconds')! > 0);
    assert.equal(away.get('latchkey_ready'), 1);
    await vault.start();
    const back = await until((now) => now.get('latchkey_vault_circuit{state="closed"}') === 1);
    assert.equal(back.get('latchkey_vault_away_seconds'), 0);
  });

  test('leave out what the database would have to say while it is away, and go on', async () => {
    way.cut();
    const without = await until((now) => now.get('latchkey_database_up') === 0);
    for (const name of ['latchkey_grants_live', 'latchkey_ledger_size', 'latchkey_ledger_waiting']) {
      assert.equal(without.has(name), false, name);
    }
    assert.equal(without.get('latchkey_ledger_behind'), 0);
    way.mend();
    await until((now) => now.get('latchkey_database_up') === 1 && now.get('latchkey_grants_live') === 1);
  });
});

test('without a place in the configuration there are none, and nothing listens for them', async () => {
  const { metrics: _none, ...config } = broker.config;
  const other = await startBroker({ ...config, listen: here }, silent);
  assert.equal(other.metricsUrl, null);
  await other.stop();
});

test('a place that is taken keeps the broker from starting, and leaves nothing behind', async () => {
  const { port } = new URL(broker.brokers[0]!.metricsUrl!);
  const config = { ...broker.config, listen: here, metrics: { host: '127.0.0.1', port: Number(port) } };
  await assert.rejects(startBroker(config, silent), { code: 'EADDRINUSE' });
});
