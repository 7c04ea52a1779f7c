import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAddress } from '../../src/cli/addresses.ts';
import { accessFor, brokerUrl, type SignIns } from '../../src/cli/sign-ins.ts';

const now = Date.parse('2026-03-01T12:00:00.000Z');
const signIn = { issuer: 'https://login.example', token: 'saved', expiresAt: '2026-03-01T13:00:00.000Z' };
const signIns: SignIns = {
  current: 'https://eu.example',
  brokers: { 'https://eu.example': signIn, 'https://us.example': { ...signIn, token: 'american' } },
};

test('the broker is LATCHKEY_URL, else the one last signed in to', () => {
  assert.equal(brokerUrl(signIns, {}), 'https://eu.example');
  assert.equal(brokerUrl(signIns, { LATCHKEY_URL: 'https://us.example/' }), 'https://us.example');
  assert.throws(() => brokerUrl({ current: null, brokers: {} }, {}), { kind: 'signed-out' });
});

test('a saved token goes to the broker it was saved for and to no other', () => {
  assert.equal(accessFor(signIns, {}, now).token, 'saved');
  assert.equal(accessFor(signIns, { LATCHKEY_URL: 'https://us.example' }, now).token, 'american');
  const elsewhere = { LATCHKEY_URL: 'https://evil.example' };
  assert.throws(() => accessFor(signIns, elsewhere, now), {
    kind: 'signed-out',
    message: /not signed in to `https:\/\/evil/,
  });
  assert.throws(() => accessFor(signIns, { LATCHKEY_URL: 'https://eu.example:8443' }, now), { kind: 'signed-out' });
  assert.equal(accessFor(signIns, { ...elsewhere, LATCHKEY_TOKEN: ' mine ' }, now).token, 'mine');
});

test('a token past its time is not sent', () => {
  assert.throws(() => accessFor(signIns, {}, now + 3_600_000), { kind: 'signed-out', message: /ran out now/ });
});

test('plain http is used on this machine alone', () => {
  const fine = ['https://latchkey.example/', 'http://127.0.0.1:7400', 'http://localhost:1', 'http://[::1]:7400/eu/'];
  assert.deepEqual(
    fine.map((url) => readAddress(url, 'the broker')),
    ['https://latchkey.example', 'http://127.0.0.1:7400', 'http://localhost:1', 'http://[::1]:7400/eu'],
  );
  const bad = [
    'http://latchkey.example',
    'http://127.0.0.1.evil.example',
    'ftp://x',
    'latchkey.example',
    'https://u:p@x',
    'https://x/?a',
  ];
  for (const url of bad) assert.throws(() => readAddress(url, 'the broker'), { kind: 'usage' }, url);
});
