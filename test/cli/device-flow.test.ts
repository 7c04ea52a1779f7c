import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { signInByDevice, type DeviceCode, type Tokens } from '../../src/cli/device-flow.ts';
import { startScriptedServer, type ScriptedAnswer, type ScriptedServer } from './support/scripted-server.ts';

let provider: ScriptedServer;
let clock: number;
let pauses: number[];
let shown: DeviceCode[];

beforeEach(async () => {
  provider = await startScriptedServer();
  [clock, pauses, shown] = [Date.parse('2026-03-01T12:00:00.000Z'), [], []];
  provider.on('GET /.well-known/openid-configuration', () => ({ body: metadata() }));
  provider.on('POST /device', () => ({
    body: { device_code: 'dc', user_code: 'WDJB-MJHT', verification_uri: `${provider.url}/activate`, expires_in: 60 },
  }));
});
afterEach(() => provider.stop());

const metadata = (): Record<string, string> => ({
  issuer: provider.url,
  device_authorization_endpoint: `${provider.url}/device`,
  token_endpoint: `${provider.url}/token`,
});

/** Answers the token endpoint with one after the other, the last one for ever. */
function answerInTurn(...answers: (ScriptedAnswer | 'cut')[]): void {
  provider.on('POST /token', (_, response) => {
    const answer = answers.length > 1 ? answers.shift()! : answers[0]!;
    if (answer !== 'cut') return answer;
    return void response.socket?.destroy();
  });
}
const error = (code: string): ScriptedAnswer => ({ status: 400, body: { error: code } });
const tokens: ScriptedAnswer = { body: { access_token: 'at', token_type: 'Bearer', expires_in: 600 } };

function signIn(signal = new AbortController().signal): Promise<Tokens> {
  return signInByDevice(
    { issuer: provider.url, audience: 'latchkey', clientId: 'latchkey-cli' },
    {
      signal,
      now: () => clock,
      show: (code) => void shown.push(code),
      pause: async (milliseconds) => {
        pauses.push(milliseconds / 1000);
        clock += milliseconds;
      },
    },
  );
}

test('the code is shown, the provider is asked every five seconds, and the token comes with its end', async () => {
  answerInTurn(error('authorization_pending'), error('authorization_pending'), tokens);
  const signedIn = await signIn();
  assert.equal(shown[0]?.userCode, 'WDJB-MJHT');
  assert.deepEqual(pauses, [5, 5, 5]);
  assert.deepEqual(signedIn, { accessToken: 'at', expiresAt: '2026-03-01T12:10:15.000Z' });
  const [, asked, polled] = provider.calls.map(({ body }) => new URLSearchParams(String(body)));
  assert.equal(asked?.get('client_id'), 'latchkey-cli');
  assert.equal(asked?.get('audience'), 'latchkey');
  assert.equal(polled?.get('grant_type'), 'urn:ietf:params:oauth:grant-type:device_code');
  assert.equal(polled?.get('device_code'), 'dc');
});

test('slow_down adds five seconds for good, and a broken connection asks less often', async () => {
  answerInTurn(error('slow_down'), error('authorization_pending'), 'cut', tokens);
  await signIn();
  assert.deepEqual(pauses, [5, 10, 10, 20]);
});

test('a decline in the browser is a refusal', async () => {
  answerInTurn(error('authorization_pending'), error('access_denied'));
  await assert.rejects(signIn(), { kind: 'refused', message: /declined in the browser/ });
});

test('a code that ran out says so, whether the provider or the clock noticed', async () => {
  answerInTurn(error('expired_token'));
  await assert.rejects(signIn(), { kind: 'failed', message: /code ran out/ });
  answerInTurn(error('authorization_pending'));
  await assert.rejects(signIn(), { kind: 'failed', message: /code ran out/ });
  assert.ok(pauses.length <= 14, `asked ${pauses.length} times`);
});

test('a provider that speaks for another issuer, has no device flow, or wants plain http elsewhere is not used', async () => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ issuer: 'https://other.example' }, /speaks for another identity provider/],
    [{ device_authorization_endpoint: '' }, /does not offer the device flow/],
    [{ token_endpoint: 'http://login.example/token' }, /plain http/],
  ];
  for (const [changes, message] of cases) {
    provider.on('GET /.well-known/openid-configuration', () => ({ body: { ...metadata(), ...changes } }));
    await assert.rejects(signIn(), { message });
  }
  assert.deepEqual(shown, []);
});

test('a provider that redirects or is no provider is told apart from one that refuses', async () => {
  provider.on('GET /.well-known/openid-configuration', () => ({
    status: 302,
    headers: { location: 'https://x.example' },
  }));
  await assert.rejects(signIn(), { kind: 'unreachable' });
  provider.on('GET /.well-known/openid-configuration', () => ({ body: metadata() }));
  provider.on('POST /device', () => ({
    status: 400,
    body: { error: 'invalid_client', error_description: 'no such client' },
  }));
  await assert.rejects(signIn(), { kind: 'failed', message: /no such client/ });
});
