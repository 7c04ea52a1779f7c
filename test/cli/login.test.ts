import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { startIdentityProvider } from '../../src/development/identity-provider.ts';
import { createBrowser } from '../support/browser.ts';
import { problem, startScriptedServer, type ScriptedServer } from './support/scripted-server.ts';
import { ada } from './support/samples.ts';
import { jsonLinesOf, openTerminal, type Terminal } from './support/terminal.ts';

const me = {
  ...ada,
  teams: ['room-ops'],
  employer: 'provider',
  region: 'EU',
  trainingValidUntil: '2999-01-01T00:00:00.000Z',
};

let broker: ScriptedServer;
let provider: ScriptedServer;
let terminal: Terminal;

beforeEach(async () => {
  [broker, provider, terminal] = [await startScriptedServer(), await startScriptedServer(), openTerminal()];
  provider.on('GET /.well-known/openid-configuration', () => ({
    body: {
      issuer: provider.url,
      device_authorization_endpoint: `${provider.url}/device`,
      token_endpoint: `${provider.url}/token`,
    },
  }));
  const uri = `${provider.url}/activate`;
  provider.on('POST /device', () => ({
    body: { device_code: 'dc', user_code: 'WDJB-MJHT', verification_uri: uri, expires_in: 60, interval: 1 },
  }));
  provider.on('POST /token', () => ({ body: { access_token: 'the-token', token_type: 'Bearer', expires_in: 600 } }));
  broker.on('GET /v1/sign-in', () => ({
    body: { providers: [{ issuer: provider.url, audience: 'latchkey', clientId: 'latchkey-cli' }] },
  }));
  broker.on('GET /v1/me', ({ headers }) =>
    headers.authorization === 'Bearer the-token'
      ? { body: me }
      : problem(401, 'unauthenticated', 'the token is not taken'),
  );
});
afterEach(async () => {
  await Promise.all([broker.stop(), provider.stop()]);
  terminal.clear();
});

test('login shows where to go and what to type, saves the token privately, and whoami then knows', async () => {
  const login = await terminal.type(['login', broker.url]);
  assert.equal(login.code, 0, login.stderr);
  assert.match(login.stdout, new RegExp(`open this page.*${provider.url}/activate.*WDJB-MJHT`, 's'));
  assert.match(login.stdout, /signed in to http:\/\/127\.0\.0\.1:\d+ as Ada Lovelace, for \d+ min/);
  assert.doesNotMatch(login.stdout + login.stderr, /the-token/);
  for (const name of readdirSync(terminal.directory)) {
    assert.equal(statSync(join(terminal.directory, name)).mode & 0o777, 0o600, name);
  }
  const whoami = await terminal.type(['whoami']);
  assert.equal(whoami.code, 0, whoami.stderr);
  assert.match(whoami.stdout, /Ada Lovelace.*teams +room-ops/s);
});

test('login with --json writes the code and then the outcome, a document a line', async () => {
  const login = await terminal.type(['login', broker.url, '--json']);
  const [code, outcome] = jsonLinesOf(login) as [Record<string, unknown>, Record<string, unknown>];
  assert.equal(code['userCode'], 'WDJB-MJHT');
  assert.deepEqual(outcome['me'], me);
  assert.deepEqual(jsonLinesOf(await terminal.type(['whoami', '--json'])), [
    { ...me, url: broker.url, signInExpiresAt: outcome['expiresAt'] },
  ]);
});

test('a token that the broker does not take is not saved', async () => {
  broker.on('GET /v1/me', () => problem(401, 'unauthenticated', 'the audience is another'));
  const login = await terminal.type(['login', broker.url]);
  assert.equal(login.code, 4);
  assert.match(login.stderr, /the audience is another/);
  assert.equal((await terminal.type(['whoami'])).code, 4);
});

test('logout forgets the token and keeps the key', async () => {
  await terminal.type(['login', broker.url]);
  const logout = await terminal.type(['logout']);
  assert.equal(logout.code, 0);
  assert.match(logout.stdout, /signed out of http/);
  assert.doesNotMatch(readFileSync(join(terminal.directory, 'sign-ins.json'), 'utf8'), /the-token/);
  assert.equal((await terminal.type(['whoami'])).code, 4);
  assert.match((await terminal.type(['logout'])).stdout, /were not signed in/);
});

test('of several providers one has to be chosen', async () => {
  const other = { issuer: 'https://login.other.example', audience: 'latchkey', clientId: 'x' };
  const first = { issuer: provider.url, audience: 'latchkey', clientId: 'latchkey-cli' };
  broker.on('GET /v1/sign-in', () => ({ body: { providers: [other, first] } }));
  const undecided = await terminal.type(['login', broker.url]);
  assert.equal(undecided.code, 2);
  assert.match(undecided.stderr, /choose one with `--provider`.*login\.other\.example/s);
  assert.equal((await terminal.type(['login', broker.url, '--provider', provider.url])).code, 0);
});

test('login without an address takes the last broker, and says so when there is none', async () => {
  const first = await terminal.type(['login']);
  assert.equal(first.code, 2);
  assert.match(first.stderr, /which broker/);
  await terminal.type(['login', broker.url]);
  assert.equal((await terminal.type(['login'])).code, 0);
});

test('LATCHKEY_URL and LATCHKEY_TOKEN stand in for a sign-in', async () => {
  const env = { LATCHKEY_URL: broker.url, LATCHKEY_TOKEN: 'the-token' };
  assert.match((await terminal.type(['whoami'], { env })).stdout, /from LATCHKEY_TOKEN/);
});

test('Ctrl-C while waiting for the browser leaves at once and signs nobody in', async () => {
  provider.on('POST /token', () => ({ status: 400, body: { error: 'authorization_pending' } }));
  const signal = AbortSignal.timeout(300);
  const began = Date.now();
  const login = await terminal.type(['login', broker.url], { signal });
  assert.equal(login.code, 1);
  assert.match(login.stderr, /interrupted/);
  assert.ok(Date.now() - began < 3000);
});

test('login goes through the device flow and the pages of a real OpenID provider', async () => {
  const state = mkdtempSync(join(tmpdir(), 'latchkey-provider-'));
  const real = await startIdentityProvider({ port: 0, stateDirectory: state });
  broker.on('GET /v1/sign-in', () => ({
    body: { providers: [{ issuer: real.issuer, audience: 'latchkey', clientId: 'latchkey-cli' }] },
  }));
  broker.on('GET /v1/me', () => ({ body: me }));
  let visit: Promise<unknown> | undefined;
  try {
    const login = await terminal.type(['login', broker.url, '--json'], {
      onStdout: (text) => {
        const { userCode } = JSON.parse(text.split('\n')[0]!) as { userCode: string };
        visit ??= confirm(real.issuer, userCode, 'ada');
      },
    });
    assert.equal(login.code, 0, login.stderr);
    await visit;
    const token = broker.calls.at(-1)?.headers.authorization?.split('.')[1];
    const claims = JSON.parse(Buffer.from(token!, 'base64url').toString()) as Record<string, unknown>;
    assert.equal(claims['aud'], 'latchkey');
    assert.equal(claims['iss'], real.issuer);
  } finally {
    await real.stop();
    rmSync(state, { recursive: true });
  }
});

async function confirm(issuer: string, userCode: string, person: string): Promise<void> {
  const browser = createBrowser(issuer);
  const { fields } = await browser.get('/device');
  const confirmed = await browser.post('/device', { ...fields, user_code: userCode, confirm: 'yes' });
  const picked = await browser.post(confirmed.location!, { person });
  assert.equal((await browser.get(picked.location!)).status, 200);
}

test('a provider that the command line is no client of cannot be signed in with', async () => {
  broker.on('GET /v1/sign-in', () => ({
    body: { providers: [{ issuer: provider.url, audience: 'latchkey', clientId: null }] },
  }));
  const typed = await terminal.type(['login', broker.url]);
  assert.equal(typed.code, 1);
  assert.match(typed.stderr, /names no identity provider.*\n.*`clients`/);
});
