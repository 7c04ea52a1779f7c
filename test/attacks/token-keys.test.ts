import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { exportJWK, generateKeyPair } from 'jose';
import { createIdentityVerifier, type IdentityVerifier } from '../../src/http/identity/identity-verifier.ts';
import { claimsOf, startTestIssuer, type TestIssuer } from '../support/issuer.ts';
import { refusedToken } from '../support/refused-token.ts';

const minute = 60_000;
const ada = { sub: 'ada-1' };
const discovery = '/.well-known/openid-configuration';
let clock: number;
let issuer: TestIssuer;
let verifier: IdentityVerifier;

beforeEach(async () => {
  clock = Date.UTC(2026, 2, 1, 12);
  issuer = await startTestIssuer({ now: () => clock });
  verifier = createIdentityVerifier([issuer.config], { now: () => clock });
});
afterEach(() => issuer.stop());

const accepted = async () => assert.ok(await verifier.verify(await issuer.tokenFor(ada)));
const keyFetches = () => issuer.requests.filter((path) => path === '/jwks').length;
const unavailable = async (token: string) => {
  await assert.rejects(verifier.verify(token), (error: Error & { code?: string; retryAfter?: number }) => {
    assert.equal(error.code, 'unavailable');
    assert.ok(error.retryAfter! >= 1 && error.retryAfter! <= 10);
    return true;
  });
};

test('a hundred first calls at once ask the provider once', async () => {
  const token = await issuer.tokenFor(ada);
  await Promise.all(Array.from({ length: 100 }, () => verifier.verify(token)));
  assert.deepEqual(issuer.requests, [discovery, '/jwks']);
});

test('a hundred unknown key ids, odd ones among them, cause one fetch, and ten seconds later one more', async () => {
  await accepted();
  const claims = claimsOf(ada, issuer.issuer, clock);
  const odd = [
    '../../etc/passwd',
    "' OR 1=1 --",
    '__proto__',
    'constructor',
    'http://keys.example/',
    '\u0000',
    '%2e%2e',
  ];
  const unknown = async () => {
    for (let i = 0; i < 100; i++) {
      const kid = odd[i] ?? `kid-${i}`;
      await refusedToken(verifier, await issuer.sign(claims, { kid }), /`kid`/);
    }
  };
  await unknown();
  assert.equal(keyFetches(), 1, 'the cooldown runs from the first load');
  clock += 10_000;
  await unknown();
  assert.equal(keyFetches(), 2);
  assert.ok(issuer.requests.every((path) => path === '/jwks' || path === discovery));
});

test('a rotated key is accepted with the first token that it signs, and the old one as long as it is published', async () => {
  const old = await issuer.tokenFor(ada);
  await verifier.verify(old);
  clock += 10_000;
  await issuer.rotate();
  await accepted();
  assert.ok(await verifier.verify(old));
});

test('a key that the provider took back is refused once the keys were asked for again, also for a token seen before', async () => {
  const old = await issuer.tokenFor(ada, { exp: clock / 1_000 + 7_200 });
  await verifier.verify(old);
  await issuer.rotate({ keepOld: false });
  clock += 10_000;
  await accepted();
  await refusedToken(verifier, old, /`kid`/);
});

test('keys older than ten minutes are asked for again while they still serve', async () => {
  await accepted();
  clock += 10 * minute + 1;
  await accepted();
  while (keyFetches() < 2) await new Promise((resolve) => setTimeout(resolve, 5));
});

test('while the provider is down its keys serve for an hour, then nobody is let in, then everybody again', async () => {
  await accepted();
  issuer.setDown(true);
  clock += 59 * minute;
  await accepted();
  clock += minute + 1;
  await unavailable(await issuer.tokenFor(ada));
  issuer.setDown(false);
  clock += 3_001;
  await accepted();
});

test('a provider that is down from the start is unavailable, asked at most every three seconds', async () => {
  issuer.setDown(true);
  const token = await issuer.tokenFor(ada);
  for (let i = 0; i < 20; i++) await unavailable(token);
  assert.equal(issuer.requests.length, 1);
  clock += 3_000;
  issuer.setDown(false);
  assert.ok(await verifier.verify(token));
});

test('a clock set back an hour does not make old keys young', async () => {
  await accepted();
  issuer.setDown(true);
  clock -= 60 * minute;
  await unavailable(await issuer.tokenFor(ada));
});

for (const [what, path] of [
  ['discovery', discovery],
  ['the key set', '/jwks'],
] as const) {
  test(`a redirect of ${what} is not followed`, async () => {
    const elsewhere = await startTestIssuer();
    issuer.answer(path, (_, response) => response.writeHead(302, { location: `${elsewhere.issuer}${path}` }).end());
    await unavailable(await issuer.tokenFor(ada));
    assert.deepEqual(elsewhere.requests, []);
    await elsewhere.stop();
  });

  test(`an endless answer for ${what} is cut off`, async () => {
    let sent = 0;
    issuer.answer(path, (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write('[1],'.repeat(4_096))) sent += 16_384;
        sent += 16_384;
      };
      response.on('drain', more).write('{"keys":[');
      more();
    });
    await unavailable(await issuer.tokenFor(ada));
    assert.ok(sent < 64 * 1_024 * 1_024, `${sent} bytes were taken`);
  });

  test(`compressed, broken or foreign answers for ${what} are refused`, async () => {
    const token = await issuer.tokenFor(ada);
    const { issuer: origin, publicJwk } = issuer;
    const sound = JSON.stringify({ issuer: origin, jwks_uri: `${origin}/jwks`, keys: [publicJwk] });
    for (const [headers, body] of [
      [{ 'content-encoding': 'gzip' }, sound],
      [{}, '{"keys":'],
      [{}, 'null'],
      [{}, '[]'],
      [{}, '{"keys":{}}'],
      [{}, '{"keys":[null,1,"x",{}]}'],
      [{}, `{"keys":[${'{},'.repeat(100)}{}]}`],
      [{}, `{"issuer":"${issuer.issuer}","jwks_uri":7}`],
      [{}, Buffer.from([0x7b, 0xff, 0x7d])],
    ] as const) {
      issuer.answer(path, (_, response) => response.writeHead(200, headers).end(body));
      await unavailable(token);
      clock += 3_000;
    }
    issuer.answer(path, null);
    assert.ok(await verifier.verify(token));
  });
}

test(
  'an answer that never comes is given up within seconds, and the calls wait together',
  { timeout: 20_000 },
  async () => {
    issuer.answer('/jwks', (_, response) => response.writeHead(200).write('{"keys":['));
    const token = await issuer.tokenFor(ada);
    const started = performance.now();
    await Promise.all([unavailable(token), unavailable(token), unavailable(token)]);
    assert.ok(performance.now() - started < 8_000);
    assert.equal(keyFetches(), 1);
  },
);

test('a discovery document of another issuer, or with keys on another origin, is refused', async () => {
  const elsewhere = await startTestIssuer();
  const token = await issuer.tokenFor(ada);
  for (const document of [
    { issuer: elsewhere.issuer, jwks_uri: `${issuer.issuer}/jwks` },
    { issuer: `${issuer.issuer}/`, jwks_uri: `${issuer.issuer}/jwks` },
    { issuer: issuer.issuer, jwks_uri: `${elsewhere.issuer}/jwks` },
    { issuer: issuer.issuer, jwks_uri: issuer.issuer.replace('127.0.0.1', 'localhost') + '/jwks' },
    { issuer: issuer.issuer, jwks_uri: 'file:///etc/passwd' },
    { issuer: issuer.issuer, jwks_uri: 'http://169.254.169.254/latest/meta-data' },
  ]) {
    issuer.answer(discovery, (_, response) => response.end(JSON.stringify(document)));
    await unavailable(token);
    clock += 3_000;
  }
  assert.deepEqual(elsewhere.requests, []);
  await elsewhere.stop();
});

test('a configured `jwksUri` is asked instead of discovery', async () => {
  const config = { ...issuer.config, jwksUri: `${issuer.issuer}/keys` };
  issuer.answer('/keys', (_, response) => response.end(JSON.stringify({ keys: [issuer.publicJwk] })));
  verifier = createIdentityVerifier([config], { now: () => clock });
  await accepted();
  assert.deepEqual(issuer.requests, ['/keys']);
});

test('weak, foreign, secret and encryption keys in the set verify nothing', async () => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const own = issuer.publicJwk;
  const rsa = (bytes: number, e: string) => ({ kty: 'RSA', n: Buffer.alloc(bytes, 0xff).toString('base64url'), e });
  const sound = { ...(await exportJWK((await generateKeyPair('ES256')).publicKey)), kid: 'sound' };
  const [, payload, signature] = (await issuer.sign(claimsOf(ada, issuer.issuer, clock))).split('.');
  for (const [alg, key] of [
    ['RS256', rsa(128, 'AQAB')],
    ['RS256', rsa(2_048, 'AQAB')],
    ['RS256', rsa(256, 'AQ')],
    ['RS256', rsa(256, 'AAE')],
    ['RS256', rsa(256, 'AQAA')],
    ['ES256', { kty: 'oct', k: 'AAAA' }],
    ['ES256', await exportJWK(privateKey)],
    ['ES256', { ...own, use: 'enc' }],
    ['ES256', { ...own, key_ops: ['encrypt'] }],
    ['ES256', { ...own, key_ops: 'verify' }],
    ['ES256', { ...own, crv: 'secp256k1' }],
    ['ES256', { ...own, alg: 'ES384' }],
  ] as const) {
    const keys = JSON.stringify({ keys: [{ ...key, kid: issuer.kid }, sound] });
    issuer.answer('/jwks', (_, response) => response.end(keys));
    const fresh = createIdentityVerifier([issuer.config], { now: () => clock });
    const header = Buffer.from(JSON.stringify({ alg, typ: 'at+jwt', kid: issuer.kid })).toString('base64url');
    await refusedToken(fresh, `${header}.${payload}.${signature}`, /`kid`/);
  }
});

test('a token without `kid` is accepted only where one key alone can be meant', async () => {
  const input = [{ alg: 'ES256', typ: 'at+jwt' }, claimsOf(ada, issuer.issuer, clock)]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const token = `${input}.${await issuer.signBytes(Buffer.from(input))}`;
  assert.ok(await verifier.verify(token));
  await issuer.rotate();
  clock += 10_000;
  await accepted();
  await refusedToken(verifier, token, /`kid`/);
});
