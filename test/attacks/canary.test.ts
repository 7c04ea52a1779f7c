import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { calculateJwkThumbprint, decodeProtectedHeader } from 'jose';
import { runLedger } from '../../src/cli/ledger/command.ts';
import { openLedgerDatabase } from '../../src/store/ledger-audit.ts';
import { openSession, sign, tell } from '../broker/support/door.ts';
import { eventually } from '../broker/support/scenario.ts';
import { watch } from '../cli/watch/support.ts';
import { freePort, newTestBroker, people, type TestBroker } from '../support/broker.ts';
import { everythingKept } from '../support/everything-kept.ts';
import { startTestIssuer } from '../support/issuer.ts';
import { startKeyVault, type TestKeyVault } from '../support/key-vault.ts';
import { steps } from '../support/steps.ts';

let vault: TestKeyVault;
let broker: TestBroker;
/** Whatever went over the wire and lets somebody in: tokens, proofs, credentials, codes, thumbprints of keys. */
const carried = new Set<string>();
const plainFetch = globalThis.fetch;

/** As `fetch`, remembering what must be found nowhere. */
async function overhearing(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const headers = new Headers(init?.headers);
  const token = /^(?:Bearer|DPoP) (.+)$/.exec(headers.get('authorization') ?? '')?.[1];
  if (token) carried.add(token);
  const proof = headers.get('dpop');
  if (proof && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(proof)) {
    carried.add(proof);
    const { jwk } = decodeProtectedHeader(proof);
    if (jwk) carried.add(await calculateJwkThumbprint(jwk));
  }
  const response = await plainFetch(input, init);
  if (/json/.test(response.headers.get('content-type') ?? '')) {
    const body = (await response.clone().json()) as Record<string, unknown> | null;
    for (const name of ['credential', 'access_token', 'code', 'receipt']) {
      const value = body?.[name];
      if (typeof value === 'string') carried.add(value);
    }
  }
  return response;
}

/** What people wrote, are called, and where they come from. */
const said = {
  reason: 'canary-reason-5f1c',
  ticket: 'CANARY-TICKET-77',
  comment: 'canary-comment-9b2d',
  ending: 'canary-ending-1a7e',
  hostname: 'canary-hostname-4c',
  serial: 'CANARY-SERIAL-31',
  path: 'canary-path-8e',
  body: 'canary-body-6d',
  agent: 'canary-agent-2f',
};
const names = Object.values(people).flatMap((person) => [
  person.name,
  ...person.name.split(' ').filter((word) => word.length > 3),
  ...('email' in person ? [person.email] : []),
]);

before(async () => {
  globalThis.fetch = overhearing;
  vault = await startKeyVault();
  process.env.LATCHKEY_KEY_VAULT_TOKEN = vault.token;
  broker = await newTestBroker({
    quiet: true,
    config: { secrets: { keyVault: vault.url }, metrics: { host: '127.0.0.1', port: 0 } },
  });
  await everyScenario();
});
after(async () => {
  globalThis.fetch = plainFetch;
  await broker.stop();
  await vault.stop();
});

const call = (who: keyof typeof people | null, method: string, path: string, body?: unknown, headers = {}) =>
  broker.call(who, method, path, body, { headers: { 'user-agent': said.agent, ...headers } });

/** Everything that can be done, and everything that can go wrong with it, in words that can be found again. */
async function everyScenario(): Promise<void> {
  const wish = { reason: said.reason, ticket: said.ticket };
  for (const prepare of Object.values(steps)) {
    const step = await prepare(broker);
    const { status } = await step.send(
      broker.brokers[0]!.url,
      step.method === 'POST' && step.who ? randomUUID() : null,
    );
    assert.equal(status, step.status, step.event);
  }
  const device = await broker.enrol(broker.contoso.id, { hostname: said.hostname, serial: said.serial });
  const grant = await broker.grant('ada', 'remediate', { ...wish, devices: [device.id] });
  const session = await openSession(broker, device, grant);
  const about = { grant: grant.id, session: session.id };
  const action = { type: 'action.performed', ...about, scope: 'device.inspect', outcome: 'done', exit: 0 } as never;
  await tell(device, session.started, session.ended);
  await device.call('POST', '/v1/agent/events', { events: [await sign(broker, device, action)] });
  const extension = await call('ada', 'POST', `/v1/grants/${grant.id}/extensions`, { duration: 'PT5M', ...wish });
  assert.equal(extension.status, 400, 'an extension has no ticket');
  await call('ada', 'POST', `/v1/grants/${grant.id}/extensions`, { duration: 'PT5M', reason: said.reason });
  assert.equal((await call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: said.ending })).status, 200);
  const narrowed = await broker.ask('ada', 'remediate', wish);
  const decision = { verdict: 'approve', comment: said.comment, narrow: { duration: 'PT5M' } };
  assert.equal((await call('chloe', 'POST', `/v1/requests/${narrowed.id}/decisions`, decision)).status, 200);
  const { grant: glass } = await broker.ask('dmitri', 'break-glass', { ...wish, duration: 'PT1M' });
  const review = { verdict: 'unjustified', comment: said.comment };
  assert.equal((await call('chloe', 'POST', `/v1/grants/${glass.id}/review`, review)).status, 200);
  await broker.ask('ada', 'diagnose', { ...wish, startsAt: new Date(Date.now() + 3_600_000).toISOString() });

  // And what is refused, malformed, forged, or fails.
  const request = { profile: 'remediate', devices: [device.id], duration: 'PT10M', ...wish };
  assert.equal((await call('zed', 'POST', '/v1/requests', request)).status, 403);
  assert.equal((await call('ada', 'POST', '/v1/requests', { ...request, more: said.body })).status, 400);
  assert.equal((await call('ada', 'POST', '/v1/requests', `{"reason": "${said.body}"`)).status, 400);
  assert.equal((await call('ada', 'GET', `/v1/${said.path}?of=${said.path}`)).status, 404);
  assert.equal((await call('ada', 'GET', `/v1/grants/${said.path}`)).status, 404);
  const forged = { authorization: `Bearer ${[...carried].find((text) => text.startsWith('eyJ'))}x` };
  assert.equal((await call(null, 'GET', '/v1/me', undefined, forged)).status, 401);
  const path = `/v1/grants/${(await broker.grant('ben', 'diagnose')).id}/credentials`;
  const spoilt = { dpop: `${[...carried].find((text) => text.split('.').length === 3)}x` };
  assert.equal((await call('ben', 'POST', path, { device: broker.contoso.devices[0]!.id }, spoilt)).status, 400);
  for (const table of ['disclosures', 'requests', 'personal_data', 'audit_events']) {
    const fails = `ALTER TABLE ${table} ADD CONSTRAINT canary CHECK (false) NOT VALID`;
    await broker.sql.query(fails);
    const { status } = await call('ada', 'POST', '/v1/requests', request);
    await broker.sql.query(`ALTER TABLE ${table} DROP CONSTRAINT canary`);
    assert.ok(status >= 500 || (table === 'personal_data' && status === 201), `${table}: ${status}`);
  }
  await vault.stop();
  assert.equal((await call('ada', 'POST', '/v1/requests', request)).status, 201, 'a vault that is away stops nobody');
  await eventually(async () => broker.logLines.some((line) => /vault/.test(JSON.stringify(line))), 30_000);
  await vault.start();
  await eventually(async () => (await broker.sql.query('SELECT FROM ledger_inbox')).rowCount === 0);
}

/** All that anybody outside of the broker is told of history. */
async function everythingExported(): Promise<string> {
  const { rows: entries } = await broker.sql.query<{ bytes: Buffer }>('SELECT bytes FROM audit_events');
  const { rows: tiles } = await broker.sql.query<{ hashes: Buffer }>('SELECT hashes FROM ledger_tiles');
  let exported = '';
  const token = await broker.issuer.tokenFor(people.aud);
  const io = {
    stdout: { write: (text: string | Uint8Array) => (exported += String(text)) },
    stderr: { write: () => true },
    env: { LATCHKEY_CONFIG_DIR: '/nowhere', LATCHKEY_TOKEN: token },
    now: Date.now,
    signal: new AbortController().signal,
  };
  const services = { openDatabase: openLedgerDatabase, acceptRollback: async () => 0 };
  const code = await runLedger(['export', '--url', broker.brokers[0]!.url], io, services);
  assert.equal(code, 0);
  const watched = await watch(['--database', broker.database.auditorUrl, '--once']);
  const [first] = entries;
  assert.ok(exported.includes(first!.bytes.toString('utf8').slice(0, 40)), 'the export holds the entries');
  assert.ok(watched.stdout.split('\n').length > entries.length / 2);
  return [...entries.map(({ bytes }) => bytes), ...tiles.map(({ hashes }) => hashes)]
    .map((bytes) => bytes.toString('latin1') + bytes.toString('utf8'))
    .concat(exported, watched.stdout)
    .join('\n');
}

const absent = (what: string, text: string, canaries: Iterable<string>): void => {
  for (const canary of canaries) assert.ok(!text.includes(canary), `${what}: \`${canary.slice(0, 60)}\` is there`);
};

describe('whatever is done, and whatever fails', () => {
  test('no name, address, reason, token or proof is in an event, a tile, an export or a log line', async () => {
    const kept = await everythingKept(broker);
    for (const used of [said.reason, said.ticket, said.comment, said.ending, said.hostname, people.ada.email]) {
      assert.ok(kept.includes(used), `\`${used}\` was really said`);
    }
    assert.ok(carried.size > 20, `only ${carried.size} things were carried`);
    const places = {
      history: await everythingExported(),
      'the log': JSON.stringify(broker.logLines),
      'the figures': await (await fetch(`${broker.brokers[0]!.metricsUrl}/metrics`)).text(),
    };
    // Receipts hold what anybody may see; a device's serial is not in the log either.
    const receipts = [...carried].filter((text) => text.startsWith('c2sp.org/'));
    const secret = [...carried].filter((text) => !receipts.includes(text));
    for (const [what, text] of Object.entries(places))
      absent(what, text, [...Object.values(said), ...names, ...secret]);
  });

  test('no token, proof or credential is in the database', async () => {
    const usable = [...carried].filter((text) => text.startsWith('eyJ'));
    assert.ok(usable.length > 10);
    absent('the database', await everythingKept(broker), usable);
  });

  test('no value of the vault, nor its token, is in the database, the ledger, the log, or what is inspected', async () => {
    const values = await valuesOf(vault);
    assert.ok(values.length >= 4, `only ${values.length} values`);
    const { context } = broker.brokers[0]!;
    const places = {
      'the database': await everythingKept(broker),
      history: await everythingExported(),
      'the log': JSON.stringify(broker.logLines),
      'the inspected broker': inspect(
        { context, config: broker.config },
        { depth: 12, showHidden: true, maxStringLength: null },
      ),
      'the broker as JSON': JSON.stringify({ keys: context.keys, sealer: context.sealer, config: broker.config }),
    };
    for (const [what, text] of Object.entries(places)) absent(what, text, [vault.token, ...values]);
  });
});

/** Each version of each secret, and the members of those that are JSON. */
async function valuesOf({ url, token }: TestKeyVault): Promise<string[]> {
  const ask = async (address: string): Promise<{ readonly value?: unknown }> => {
    const response = await plainFetch(address, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(response.status, 200, address);
    return (await response.json()) as { readonly value?: unknown };
  };
  const listed = async (path: string): Promise<string[]> => {
    const { value } = await ask(`${url}${path}?api-version=7.6`);
    return (value as { id: string; attributes: { enabled: boolean } }[])
      .filter(({ attributes }) => attributes.enabled)
      .map(({ id }) => new URL(id).pathname);
  };
  const values: string[] = [];
  for (const secret of await listed('/secrets')) {
    for (const version of await listed(`${secret}/versions`)) {
      const { value } = await ask(`${url}${version}?api-version=7.6`);
      // The ledger's mark is what everybody may know.
      if (String(value).length < 30 || secret.includes('mark')) continue;
      values.push(String(value), ...secretsIn(String(value)));
    }
  }
  return values;
}

function secretsIn(value: string): string[] {
  try {
    const { d, k } = JSON.parse(value) as { d?: string; k?: string };
    return [d, k].filter((text) => text !== undefined);
  } catch {
    return [];
  }
}

test(
  'the vault’s token is in no command line and no child’s environment',
  { skip: process.platform !== 'linux' },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'latchkey-canary-'));
    const issuer = await startTestIssuer();
    const own = await startKeyVault();
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const config = {
      publicUrl: url,
      listen: { host: '127.0.0.1', port },
      region: 'EU',
      database: { embedded: join(directory, 'postgres') },
      identityProviders: [issuer.config],
      policies: fileURLToPath(new URL('../../policies', import.meta.url)),
      secrets: { keyVault: own.url },
      ledger: { origin: 'latchkey.test/eu' },
    };
    const file = join(directory, 'config.json');
    await writeFile(file, JSON.stringify(config));
    const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
    const child: ChildProcess = spawn(process.execPath, [main, 'serve', '--config', file], {
      stdio: 'ignore',
      env: { ...process.env, LATCHKEY_KEY_VAULT_TOKEN: own.token },
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    try {
      await eventually(async () => (await plainFetch(`${url}/readyz`).catch(() => null))?.status === 200, 60_000);
      const below = await descendants(child.pid!);
      assert.ok(below.length > 3, 'PostgreSQL runs below it');
      for (const pid of below) {
        const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
        absent(`the environment of ${pid}`, environment, [own.token, 'LATCHKEY_KEY_VAULT_TOKEN']);
      }
      for (const pid of [child.pid!, ...below]) {
        absent(`the command line of ${pid}`, await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => ''), [
          own.token,
        ]);
      }
    } finally {
      child.kill('SIGTERM');
      await ended;
      await Promise.all([own.stop(), issuer.stop()]);
      await rm(directory, { recursive: true, force: true });
    }
  },
);

/** Every process below this one. A server that leads a group of its own is found through its folder's name. */
async function descendants(of: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map<number, number>();
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    const parent = /^\d+ \(.*\) \S (\d+)/.exec(stat)?.[1];
    if (parent !== undefined) parents.set(pid, Number(parent));
  }
  const below = (pid: number): number[] =>
    [...parents].filter(([, parent]) => parent === pid).flatMap(([child]) => [child, ...below(child)]);
  return below(of);
}
