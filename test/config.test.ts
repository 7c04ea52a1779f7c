import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { ConfigError, parseConfig, readConfig } from '../src/config.ts';
import { freePort, people } from './support/broker.ts';
import { startTestIssuer, type TestIssuer } from './support/issuer.ts';
import { newTestDatabase, type TestDatabase } from './support/postgres.ts';

type Json = Record<string, unknown>;

const provider = { issuer: 'https://login.example/tenant/v2.0', audience: 'latchkey', claims: { subject: 'oid' } };
const sound = {
  publicUrl: 'https://latchkey.example',
  listen: { host: '127.0.0.1', port: 7400 },
  region: 'EU',
  database: { url: 'postgres://latchkey_app@db.example/latchkey' },
  identityProviders: [provider],
  policies: 'policies',
  secrets: { directory: '.latchkey/secrets' },
  ledger: { origin: 'latchkey.example/eu' },
};

/** The places of all mistakes that a configuration is refused for. */
function mistakesOf(value: unknown): string[] {
  try {
    parseConfig(value);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    for (const { pointer, message } of error.mistakes) {
      assert.ok(error.message.includes(`${pointer || '/'}: ${message}`));
      assert.doesNotMatch(message, /undefined|\[object/);
    }
    return error.mistakes.map(({ pointer }) => pointer).sort();
  }
  return [];
}

describe('a configuration', () => {
  test('as the contract shows it is taken, with its defaults', () => {
    const config = parseConfig(sound);
    assert.deepEqual(config.rateLimits.person, { perSecond: 50, burst: 200 });
    assert.deepEqual(config.timeouts, { headers: 15, body: 10 });
    assert.deepEqual(config.trustedProxies, []);
    assert.deepEqual(mistakesOf({ ...sound, database: { embedded: '.latchkey/postgres' } }), []);
    assert.deepEqual(mistakesOf({ ...sound, publicUrl: 'http://127.0.0.1:7400' }), []);
    assert.deepEqual(mistakesOf({ ...sound, publicUrl: 'http://[::1]:7400' }), []);
  });

  test('is refused for all its mistakes together, of form and of meaning', () => {
    const wrong = {
      ...sound,
      publicUrl: 'http://latchkey.example',
      listen: { host: '', port: 70_000 },
      region: 'MARS',
      extra: 1,
      'a/b~c': 2,
      database: { url: 'mysql://x' },
      identityProviders: [{ ...provider, issuer: 'http://login.example', claims: { subject: 'email' } }],
      trustedProxies: ['10.0.0.0/8', 'everyone'],
      timeouts: { body: 'PT0S' },
      policies: undefined,
    };
    assert.deepEqual(mistakesOf(JSON.parse(JSON.stringify(wrong))), [
      '/a~1b~0c',
      '/database/url',
      '/extra',
      '/identityProviders/0/claims/subject',
      '/identityProviders/0/issuer',
      '/listen/host',
      '/listen/port',
      '/policies',
      '/publicUrl',
      '/region',
      '/timeouts/body',
      '/trustedProxies/1',
    ]);
  });

  test('has no default for what secures it', () => {
    for (const name of Object.keys(sound)) {
      const { [name]: _, ...rest } = sound as Json;
      assert.deepEqual(mistakesOf(rest), [`/${name}`]);
    }
    for (const name of ['issuer', 'audience', 'claims']) {
      const { [name]: _, ...rest } = provider as Json;
      assert.deepEqual(mistakesOf({ ...sound, identityProviders: [rest] }), [`/identityProviders/0/${name}`]);
    }
    assert.deepEqual(mistakesOf({ ...sound, identityProviders: [{ ...provider, claims: {} }] }), [
      '/identityProviders/0/claims/subject',
    ]);
    assert.deepEqual(mistakesOf({ ...sound, identityProviders: [] }), ['/identityProviders']);
    assert.deepEqual(mistakesOf({ ...sound, secrets: {} }), ['/secrets/directory']);
    assert.deepEqual(mistakesOf({ ...sound, ledger: {} }), ['/ledger/origin']);
    for (const name of ['issuer', 'audience']) {
      assert.ok(mistakesOf({ ...sound, identityProviders: [{ ...provider, [name]: '' }] }).length > 0, name);
    }
  });

  const wrong: readonly (readonly [name: string, more: Json, pointer: string])[] = [
    ['plain http for the world', { publicUrl: 'http://10.0.0.1' }, '/publicUrl'],
    ['plain http for a name that starts like loopback', { publicUrl: 'http://127.0.0.1.example' }, '/publicUrl'],
    ['plain http for a name that ends like loopback', { publicUrl: 'http://notlocalhost' }, '/publicUrl'],
    ['another scheme', { publicUrl: 'ftp://latchkey.example' }, '/publicUrl'],
    ['what is no URL', { publicUrl: 'latchkey.example' }, '/publicUrl'],
    ['a password in a URL', { publicUrl: 'https://a:b@latchkey.example' }, '/publicUrl'],
    ['a slash at the end', { publicUrl: 'https://latchkey.example/' }, '/publicUrl'],
    ['two kinds of database', { database: { embedded: 'x', url: 'postgres://x' } }, '/database/url'],
    ['no database', { database: {} }, '/database/url'],
    ['a pool of one', { database: { url: 'postgres://x', poolSize: 1 } }, '/database/poolSize'],
    ['a limit of nothing', { rateLimits: { person: { perSecond: 0, burst: 1 } } }, '/rateLimits/person/perSecond'],
    ['a limit half said', { rateLimits: { person: { perSecond: 1 } } }, '/rateLimits/person/burst'],
    ['a proxy that is everyone', { trustedProxies: ['0.0.0.0/0'] }, '/trustedProxies/0'],
    ['a proxy by name', { trustedProxies: ['proxy.example'] }, '/trustedProxies/0'],
    ['a network that is none', { trustedProxies: ['10.0.0.0/33'] }, '/trustedProxies/0'],
    ['a time-out of an hour', { timeouts: { headers: 'PT1H' } }, '/timeouts/headers'],
    ['an origin of two words', { ledger: { origin: 'a b' } }, '/ledger/origin'],
    ['a list', [] as unknown as Json, ''],
  ];
  for (const [name, more, pointer] of wrong) {
    test(`with ${name} is refused`, () => {
      const pointers = mistakesOf(Array.isArray(more) ? more : { ...sound, ...more });
      assert.deepEqual([...new Set(pointers)], [pointer]);
    });
  }

  test('takes no e-mail address or user principal name for a subject, in any spelling', () => {
    for (const subject of ['email', 'upn', 'preferred_username', 'Email', 'UPN', 'unique_name']) {
      const claims = { subject };
      assert.deepEqual(mistakesOf({ ...sound, identityProviders: [{ ...provider, claims }] }), [
        '/identityProviders/0/claims/subject',
      ]);
    }
  });

  test('names each provider once, and believes only what a provider can say', () => {
    assert.deepEqual(mistakesOf({ ...sound, identityProviders: [provider, provider] }), [
      '/identityProviders/1/issuer',
    ]);
    const strange = { ...provider, allowedEmployers: ['provider', 'god'], teamNames: { a1: 'operators' } };
    assert.deepEqual(mistakesOf({ ...sound, identityProviders: [strange] }), [
      '/identityProviders/0/allowedEmployers/1',
      '/identityProviders/0/teamNames/a1',
    ]);
  });

  test('that cannot be read, is no JSON or names a member twice says so', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'latchkey-config-'));
    const file = join(directory, 'config.json');
    await assert.rejects(readConfig(file), /cannot be read \(ENOENT\)/);
    for (const text of ['{', '', '{"region":"EU","region":"US"}']) {
      await writeFile(file, text);
      await assert.rejects(readConfig(file), /is not JSON, or names a member twice/);
    }
    await rm(directory, { recursive: true });
  });
});

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
      ...sound,
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
    const { newTestDevice } = await import('./support/device.ts');
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
