import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { freePort, people } from './support/broker.ts';
import { newTestDevice } from './support/device.ts';
import { startTestIssuer, type TestIssuer } from './support/issuer.ts';
import { newTestDatabase, type TestDatabase } from './support/postgres.ts';

type Json = Record<string, unknown>;

describe('`latchkey serve`', () => {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
  let directory: string;
  let database: TestDatabase;
  let issuer: TestIssuer;
  const started: ChildProcess[] = [];
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'latchkey-serve-'));
    [database, issuer] = await Promise.all([newTestDatabase(), startTestIssuer()]);
  });
  after(async () => {
    for (const child of started) child.kill('SIGKILL');
    await Promise.all([issuer.stop(), database.drop()]);
    await rm(directory, { recursive: true, force: true });
  });

  interface Serving {
    readonly url: string;
    readonly child: ChildProcess;
    readonly output: { out: string; err: string };
    readonly exit: Promise<number | null>;
  }
  async function serve(more: Json = {}): Promise<Serving> {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const config = {
      region: 'EU',
      ledger: { origin: 'latchkey.test/eu' },
      publicUrl: url,
      listen: { host: '127.0.0.1', port },
      database: { url: database.appUrl },
      identityProviders: [issuer.config],
      policies: fileURLToPath(new URL('../policies', import.meta.url)),
      secrets: { directory: join(directory, 'secrets') },
      ...more,
    };
    const file = join(directory, `${port}.json`);
    await writeFile(file, JSON.stringify(config));
    const child = spawn(process.execPath, [main, 'serve', '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] });
    started.push(child);
    const output = { out: '', err: '' };
    child.stdout.on('data', (chunk) => (output.out += String(chunk)));
    child.stderr.on('data', (chunk) => (output.err += String(chunk)));
    const exit = new Promise<number | null>((ended) => child.once('close', ended));
    return { url, child, output, exit };
  }
  const lines = ({ output }: Serving): Json[] =>
    output.out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Json);
  async function untilReady(serving: Serving): Promise<number[]> {
    const seen: number[] = [];
    const deadline = Date.now() + 20_000;
    while (seen.at(-1) !== 200) {
      assert.ok(Date.now() < deadline, JSON.stringify(serving.output));
      const status = await fetch(`${serving.url}/readyz`).then(
        ({ status }) => status,
        () => 0,
      );
      if (status !== seen.at(-1)) seen.push(status);
      await new Promise((later) => setTimeout(later, 10));
    }
    return seen;
  }

  test('exits 2 for a wrong configuration, and says all that is wrong', async () => {
    const serving = await serve({ publicUrl: 'http://latchkey.example', region: 'MARS', surprise: true });
    assert.equal(await serving.exit, 2);
    for (const pointer of ['/publicUrl', '/region', '/surprise']) assert.ok(serving.output.err.includes(pointer));
    assert.doesNotMatch(serving.output.err, /\bat .*\.ts:/);
  });

  test('exits 2 without a configuration', async () => {
    for (const args of [[], ['--config'], ['--config', join(directory, 'none.json')], ['--port', '1']]) {
      const child = spawn(process.execPath, [main, 'serve', ...args], { stdio: 'ignore' });
      assert.equal(await new Promise((ended) => child.once('exit', ended)), 2, args.join(' '));
    }
  });

  test('refuses a schema that is not its own, naming `migrate`', async () => {
    const other = await newTestDatabase();
    const client = new Client({ connectionString: other.superuserUrl });
    await client.connect();
    await client.query('DELETE FROM schema_migrations WHERE id = (SELECT max(id) FROM schema_migrations)');
    await client.end();
    const serving = await serve({ database: { url: other.appUrl } });
    assert.equal(await serving.exit, 1);
    assert.match(JSON.stringify(lines(serving)), /latchkey migrate/);
    await other.drop();
  });

  test('is ready when it is up, drains on SIGTERM with calls and streams open, and exits 0 within 10 s', async () => {
    const serving = await serve();
    const seen = await untilReady(serving);
    assert.equal(seen.at(-1), 200);
    assert.ok(
      seen.every((status) => [0, 503, 200].includes(status)),
      JSON.stringify(seen),
    );
    const call = async (who: keyof typeof people, method: string, path: string, body?: object): Promise<Json> => {
      const authorization = `Bearer ${await issuer.tokenFor(people[who])}`;
      const headers = { authorization, 'content-type': 'application/json' };
      const response = await fetch(serving.url + path, {
        method,
        headers,
        ...(body && { body: JSON.stringify(body) }),
      });
      return { ...((await response.json()) as Json), status: response.status };
    };
    const tenant = await call('olu', 'PUT', '/v1/tenants/contoso', { name: 'Contoso', region: 'EU' });
    const { code } = await call('olu', 'POST', '/v1/enrolment-codes', { tenant: tenant['id'] });
    const device = await newTestDevice(serving.url, serving.url);
    await device.enrol(String(code));
    const wish = { profile: 'remediate', devices: [device.id], duration: 'PT5M', reason: 'x' };
    const { id } = await call('ada', 'POST', '/v1/requests', wish);
    const token = (await device.signIn()).body['access_token']!;
    const stream = await fetch(`${serving.url}/v1/agent/stream`, { headers: { authorization: `Bearer ${token}` } });
    const streamed = stream.text();
    const waiting = call('ada', 'GET', `/v1/requests/${String(id)}?wait=60`);
    await new Promise((underWay) => setTimeout(underWay, 200));

    const asked = performance.now();
    serving.child.kill('SIGTERM');
    const draining: number[] = [];
    while (draining.at(-1) !== 503 && draining.length < 50) {
      draining.push(
        await fetch(`${serving.url}/readyz`).then(
          ({ status }) => status,
          () => 503,
        ),
      );
      await new Promise((later) => setTimeout(later, 10));
    }
    assert.equal(draining.at(-1), 503, 'who sends traffic is told');
    const answered = await waiting;
    assert.deepEqual([answered['status'], answered['id']], [200, id], 'what runs is finished');
    assert.match(await streamed, /^event: live-grants\ndata: /);
    assert.equal(await serving.exit, 0);
    assert.ok(performance.now() - asked < 10_000);

    const logged = lines(serving);
    assert.deepEqual(logged.filter(({ message }) => message === 'ready' || message === 'stopped').length, 2);
    for (const line of logged) assert.ok(line['time'] && line['level'] && line['message'], JSON.stringify(line));
    for (const canary of [token, 'Ada Okafor', people.ada.email, String(code), 'eyJ']) {
      assert.ok(!serving.output.out.includes(canary), `the log holds \`${canary}\``);
    }
    assert.equal(serving.output.err, '');
  });

  test('exits 1 when its port is taken, and leaves nothing behind', async () => {
    const one = await serve();
    await untilReady(one);
    const { port } = new URL(one.url);
    const two = await serve({ publicUrl: one.url, listen: { host: '127.0.0.1', port: Number(port) } });
    assert.equal(await two.exit, 1);
    assert.match(JSON.stringify(lines(two)), /EADDRINUSE/);
    assert.equal((await fetch(`${one.url}/readyz`)).status, 200);
    one.child.kill('SIGTERM');
    assert.equal(await one.exit, 0);
  });
});
