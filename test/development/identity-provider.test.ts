import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import {
  developmentProviderConfig,
  samplePeople,
  startIdentityProvider,
  type RunningIdentityProvider,
} from '../../src/development/identity-provider.ts';
import { identityProviderMistakes } from '../../src/http/identity/mistakes.ts';
import { createIdentityVerifier } from '../../src/http/identity/identity-verifier.ts';
import { createBrowser } from '../support/browser.ts';

let directory: string;
let provider: RunningIdentityProvider;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-idp-'));
  provider = await startIdentityProvider({ port: 0, stateDirectory: directory });
});
after(async () => {
  await provider.stop();
  await rm(directory, { recursive: true });
});

const verify = (token: string) =>
  createIdentityVerifier([developmentProviderConfig(provider.issuer)], { now: Date.now }).verify(token);

test('everyone can sign in, and the verification of the broker finds them as the list describes them', async () => {
  for (const person of samplePeople) {
    const verified = await verify(await provider.tokenFor(person.username));
    assert.deepEqual(
      [verified.subject, verified.name, verified.email, verified.teams, verified.employer, verified.region],
      [person.id, person.name, person.email, person.teams, person.employer, person.region],
    );
    assert.equal(Date.parse(verified.trainingValidUntil!) > Date.now(), person.username !== 'zed');
    assert.equal(verified.clientId, 'latchkey-cli');
  }
});

test('access tokens are of the type, audience and life that RFC 9068 and the contract ask for', async () => {
  const token = await provider.tokenFor('ada');
  assert.equal(decodeProtectedHeader(token).typ, 'at+jwt');
  const { iss, aud, iat, exp, jti } = decodeJwt(token);
  assert.deepEqual([iss, aud, exp! - iat!, typeof jti], [provider.issuer, 'latchkey', 3_600, 'string']);
});

test('the configuration of the broker for it has no mistakes', () => {
  assert.deepEqual(identityProviderMistakes(developmentProviderConfig(provider.issuer), ''), []);
});

test('the code flow with PKCE gives an access token, and an ID token that the broker refuses', async () => {
  const verifier = randomBytes(32).toString('base64url');
  const authorize = new URLSearchParams({
    client_id: 'latchkey-cli',
    response_type: 'code',
    redirect_uri: 'http://127.0.0.1:50999/callback',
    scope: 'openid profile',
    state: 'kept',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const browser = createBrowser(provider.issuer);
  const asked = await browser.get(`/auth?${authorize.toString()}`);
  assert.match((await browser.get(asked.location!)).page, /Chloé Marchetti/);
  const picked = await browser.post(asked.location!, { person: 'chloe' });
  const back = new URL((await browser.get(picked.location!)).location!);
  assert.equal(back.searchParams.get('state'), 'kept');
  const redeem = (code_verifier: string) =>
    fetch(`${provider.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id: 'latchkey-cli',
        redirect_uri: 'http://127.0.0.1:50999/callback',
        code: back.searchParams.get('code')!,
        code_verifier,
      }),
    });
  assert.equal((await redeem(randomBytes(32).toString('base64url'))).status, 400);
  const tokens = (await (await redeem(verifier)).json()) as Record<string, string>;
  assert.equal((await verify(tokens['access_token']!)).name, 'Chloé Marchetti');
  await assert.rejects(verify(tokens['id_token']!), { code: 'unauthenticated' });
});

test('the code flow without PKCE, or back to elsewhere than loopback, is refused', async () => {
  const base = { client_id: 'latchkey-cli', response_type: 'code', scope: 'openid' };
  const challenge = { code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' };
  for (const parameters of [
    { ...base, redirect_uri: 'http://127.0.0.1:50999/callback' },
    { ...base, ...challenge, redirect_uri: 'https://evil.example/callback' },
    { ...base, ...challenge, redirect_uri: 'http://127.0.0.1:50999/other' },
  ]) {
    const answer = await createBrowser(provider.issuer).get(`/auth?${new URLSearchParams(parameters).toString()}`);
    assert.doesNotMatch(answer.location ?? '', /interaction|evil|code=/);
  }
});

test('one browser signs in as one person after another, asked each time', async () => {
  const browser = createBrowser(provider.issuer);
  for (const person of ['ada', 'ben', 'ada']) {
    const code = await startDevice();
    const picker = await enterCode(browser, code.user_code);
    let answer = await browser.post(picker, { person });
    while (answer.location ?? answer.form) {
      answer = answer.location ? await browser.get(answer.location) : await browser.submit(answer);
    }
    assert.match(answer.page, /You are signed in/);
    const { oid } = decodeJwt((await poll(code.device_code))['access_token']!);
    assert.equal(oid, samplePeople.find(({ username }) => username === person)!.id);
  }
});

test('a code waits until it is confirmed, says so when it is cancelled, and does not come back', async () => {
  const code = await startDevice();
  assert.equal((await poll(code.device_code))['error'], 'authorization_pending');
  const browser = createBrowser(provider.issuer);
  const entry = await browser.get('/device');
  const { page } = await browser.post('/device', { ...entry.fields, user_code: 'wrong' });
  assert.match(page, /Nothing waits for wrong: /);
  const again = await browser.get('/device');
  const shown = await browser.post('/device', { ...again.fields, user_code: code.user_code.toLowerCase() });
  assert.ok(shown.page.includes(`<p class="code">${code.user_code}</p>`));
  const { abort: _, ...fields } = shown.fields;
  assert.match((await browser.post('/device', { ...fields, abort: 'yes' })).page, /Cancelled/);
  assert.equal((await poll(code.device_code))['error'], 'access_denied');
});

test('a refresh token gives a new access token', async () => {
  const code = await startDevice();
  const browser = createBrowser(provider.issuer);
  const picked = await browser.post(await enterCode(browser, code.user_code), { person: 'olu' });
  await browser.get(picked.location!);
  const first = await poll(code.device_code);
  const body = { grant_type: 'refresh_token', client_id: 'latchkey-cli', refresh_token: first['refresh_token']! };
  const second = await postForm('/token', body);
  assert.equal((await verify(second['access_token']!)).name, 'Olu Adeyemi');
});

test('the cross-site token is required, and a sign-in belongs to the browser that began it', async () => {
  const code = await startDevice();
  const browser = createBrowser(provider.issuer);
  await browser.get('/device');
  const forged = await browser.post('/device', { xsrf: 'forged', user_code: code.user_code, confirm: 'yes' });
  assert.equal(forged.location, null);
  const picker = await enterCode(browser, code.user_code);
  const stranger = await createBrowser(provider.issuer).post(picker, { person: 'chloe' });
  assert.deepEqual([stranger.status, stranger.location], [400, null]);
  assert.equal((await browser.post(picker, { person: 'nobody' })).status, 400);
  assert.equal(
    (await browser.post(picker, { person: 'x'.repeat(100_000) }).catch(() => ({ location: null }))).location,
    null,
  );
});

test('another name for this machine is refused, so that no site can make its own lead here', async () => {
  const status = await new Promise((resolve, reject) => {
    const headers = { host: `evil.example:${provider.port}` };
    request(`${provider.issuer}/device`, { headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on('error', reject)
      .end();
  });
  assert.equal(status, 421);
});

test('pages allow their own style sheet and nothing else, and escape what they show', async (t) => {
  const hostile = { ...samplePeople[0]!, username: '"><script>', name: '<img src=x onerror=alert(1)>', role: "'&" };
  const state = await mkdtemp(join(tmpdir(), 'latchkey-idp-'));
  const other = await startIdentityProvider({ port: 0, stateDirectory: state, people: [hostile] });
  t.after(async () => {
    await other.stop();
    await rm(state, { recursive: true });
  });
  const browser = createBrowser(other.issuer);
  const started = await postForm('/device/auth', { client_id: 'latchkey-cli' }, other.issuer);
  const { page, policy } = await browser.get(await enterCode(browser, started['user_code']!));
  assert.ok(page.includes('&lt;img src=x onerror=alert(1)&gt;'));
  assert.ok(page.includes('value="&quot;&gt;&lt;script&gt;"') && page.includes('&#39;&amp;'));
  assert.doesNotMatch(page, /<(script|img)/);
  const sheet = /<style>([^<]*)<\/style>/.exec(page)![1]!;
  assert.ok(policy.includes(`style-src 'sha256-${createHash('sha256').update(sheet).digest('base64')}'`));
  assert.match(policy, /default-src 'none'; .*script-src 'report-sample'; /);
  const link = await browser.get('/device?user_code=ABCD-EFGH');
  const script = /<script>([^<]*)<\/script>/.exec(link.page)![1]!;
  assert.ok(link.policy.includes(`'sha256-${createHash('sha256').update(script).digest('base64')}'`));
});

test('its keys are for nobody else to read, and tokens stay good over a restart', async () => {
  const [file] = await readdir(directory);
  assert.equal((await stat(join(directory, file!))).mode & 0o777, 0o600);
  const token = await provider.tokenFor('aud');
  const { port } = provider;
  await provider.stop();
  provider = await startIdentityProvider({ port, stateDirectory: directory });
  assert.equal((await verify(token)).name, 'Aud Nakamura');
});

test('a port that is taken is an error that says so', async () => {
  await assert.rejects(startIdentityProvider({ port: provider.port, stateDirectory: directory }), {
    code: 'EADDRINUSE',
  });
});

test('it writes nothing on standard output or error, from start over a sign-in and a mistake to stop', async () => {
  const script = `
    const { startIdentityProvider } = await import(${JSON.stringify(import.meta.resolve('../../src/development/identity-provider.ts'))});
    const provider = await startIdentityProvider({ port: 0, stateDirectory: ${JSON.stringify(directory)} });
    await provider.tokenFor('ada');
    for (const path of ['/auth', '/device', '/nothing', '/session/end', '/token', '/.well-known/openid-configuration'])
      await fetch(provider.issuer + path);
    await provider.stop();`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  assert.deepEqual([stdout, stderr], ['', '']);
});

async function startDevice(): Promise<{ device_code: string; user_code: string }> {
  const started = await postForm('/device/auth', { client_id: 'latchkey-cli', scope: 'openid' });
  return { device_code: started['device_code']!, user_code: started['user_code']! };
}

/** Follows the link a terminal shows and confirms the code; returns where a person is picked. */
async function enterCode(browser: ReturnType<typeof createBrowser>, code: string): Promise<string> {
  const link = await browser.get(`/device?user_code=${code}`);
  const shown = await browser.submit(link);
  return (await browser.submit({ ...shown, fields: { ...shown.fields, abort: '' } })).location!;
}

function poll(device_code: string): Promise<Record<string, string>> {
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
  return postForm('/token', { grant_type, client_id: 'latchkey-cli', device_code });
}

async function postForm(path: string, fields: object, issuer = provider.issuer): Promise<Record<string, string>> {
  const body = new URLSearchParams(fields as Record<string, string>);
  return (await (await fetch(`${issuer}${path}`, { method: 'POST', body })).json()) as Record<string, string>;
}
