import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createIdentityVerifier } from '../../src/http/identity/identity-verifier.ts';
import { claimsOf, startTestIssuer, type TestIssuer } from '../support/issuer.ts';
import { refusedToken } from '../support/refused-token.ts';

const now = Date.UTC(2026, 2, 1, 12);
const iat = now / 1_000;
let clock = now;
let issuer: TestIssuer;
let other: TestIssuer;
before(async () => {
  const options = { now: () => now };
  [issuer, other] = await Promise.all([startTestIssuer(options), startTestIssuer(options)]);
});
after(() => Promise.all([issuer.stop(), other.stop()]));

const ada = { sub: 'ada-1' };
const verifier = (more: object = {}) => createIdentityVerifier([{ ...issuer.config, ...more }], { now: () => clock });
const refused = async (claims: object, reason: RegExp, config: object = {}) =>
  refusedToken(verifier(config), await issuer.tokenFor(ada, claims), reason);
const accepted = async (claims: object, config: object = {}) =>
  verifier(config).verify(await issuer.tokenFor(ada, claims));

test('`iss` must be the configured text exactly', async () => {
  for (const iss of [`${issuer.issuer}/`, issuer.issuer.toUpperCase(), other.issuer, '', null, [issuer.issuer], 7]) {
    await refused({ iss }, /`iss`/);
  }
  const { iss: _, ...withoutIssuer } = claimsOf(ada, issuer.issuer, now);
  await refusedToken(verifier(), await issuer.sign(withoutIssuer), /`iss`/);
});

test('a provider cannot speak for another: its key signs only for its own issuer', async () => {
  const both = createIdentityVerifier([issuer.config, other.config], { now: () => now });
  await refusedToken(both, await other.tokenFor(ada, { iss: issuer.issuer }), /`kid`/);
  const token = await other.sign(claimsOf(ada, issuer.issuer, now), { kid: issuer.kid });
  await refusedToken(both, token, /signature/);
});

test('`aud` must be or hold the configured audience', async () => {
  for (const aud of [
    'other',
    'latchkey ',
    'LATCHKEY',
    '',
    null,
    [],
    ['other'],
    [['latchkey']],
    { latchkey: 1 },
    undefined,
  ]) {
    await refused({ aud }, /`aud`/);
  }
  assert.ok(await accepted({ aud: ['other', 'latchkey'] }));
});

test('a token counts until the millisecond before its `exp`, and no clock skew is forgiven', async () => {
  const token = await issuer.tokenFor(ada, { exp: iat + 10 });
  const strict = verifier();
  const at = (milliseconds: number) => {
    clock = milliseconds;
    return strict.verify(token).then(
      () => 'accepted',
      (error: Error) => error.message,
    );
  };
  assert.equal(await at(now + 9_000), 'accepted');
  assert.equal(await at(now + 9_999), 'accepted');
  assert.match(await at(now + 10_000), /has expired/);
  assert.match(await at(now + 11_000), /has expired/);
  assert.equal(await at(now), 'accepted', 'a clock set right again');
  clock = now;
});

test('a token older than the greatest age is refused though its `exp` is far', async () => {
  const old = { exp: iat + 86_400 };
  assert.ok(await accepted({ ...old, iat: iat - 3_599 }));
  await refused({ ...old, iat: iat - 3_600 }, /expired/);
  await refused({ ...old, iat: iat - 3_601 }, /expired/);
  assert.ok(await accepted({ ...old, iat: iat - 59 }, { maxTokenAge: 60 }));
  await refused({ ...old, iat: iat - 61 }, /expired/, { maxTokenAge: 60 });
  assert.equal((await accepted({ ...old, iat: iat - 100 })).expiresAt, iat + 3_500);
});

test("`nbf` and `iat` may lie as far ahead as a provider's clock may be, five seconds", async () => {
  for (const claim of ['nbf', 'iat']) {
    for (const ahead of [-1, 0, 1, 5]) assert.ok(await accepted({ [claim]: iat + ahead }), `${claim} ${ahead}`);
    for (const ahead of [6, 3_600]) await refused({ [claim]: iat + ahead }, /future/);
  }
});

test('`exp` and `iat` must be there, and times must be numbers', async () => {
  for (const claim of ['exp', 'iat']) {
    for (const value of [undefined, null, String(iat + 60), [iat + 60], true])
      await refused({ [claim]: value }, /number/);
  }
  for (const nbf of [null, String(iat), [iat]]) await refused({ nbf }, /number/);
  const huge = JSON.stringify(claimsOf(ada, issuer.issuer, now)).replace(/"exp":\d+/, '"exp":1e999');
  const input = [JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: issuer.kid }), huge]
    .map((text) => Buffer.from(text).toString('base64url'))
    .join('.');
  await refusedToken(verifier(), `${input}.${await issuer.signBytes(Buffer.from(input))}`, /number/);
});

test('a subject that is absent, no text, too long, unprintable or an e-mail address is refused', async () => {
  for (const oid of [
    undefined,
    null,
    '',
    7,
    ['ada-1'],
    {},
    'x'.repeat(513),
    'ada\u0000',
    ' ada',
    'ada\u202e',
    'ada@x.example',
  ]) {
    await refused({ oid }, /subject/);
  }
});

test('a subject is not taken from a prototype or a nested claim', async () => {
  for (const subject of ['constructor', '__proto__', 'toString', 'a.b']) {
    await refused({ a: { b: 'ada-1' } }, /subject/, { claims: { subject } });
  }
  assert.equal(
    (await accepted({ 'https://x.example/id': 'ada-2' }, { claims: { subject: 'https://x.example/id' } })).subject,
    'ada-2',
  );
});

test('only tokens of the configured clients are accepted, where clients are configured', async () => {
  const clients = ['latchkey-cli', 'console'];
  assert.equal((await accepted({}, { clients })).clientId, 'latchkey-cli');
  await refused({ client_id: 'other' }, /client/, { clients });
  await refused({ azp: 'other' }, /client/, { clients });
  await refused({ client_id: undefined }, /client/, { clients });
  await refused({}, /client/, { clients: [] });
});

test('a token whose signature was verified once is still refused once it has expired', async () => {
  const remembering = verifier();
  const token = await issuer.tokenFor(ada, { exp: iat + 10 });
  assert.ok(await remembering.verify(token));
  clock = now + 10_000;
  await refusedToken(remembering, token, /expired/);
  clock = now;
});
