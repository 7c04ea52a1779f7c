import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CompactEncrypt, exportSPKI, importJWK, SignJWT, generateKeyPair, exportJWK } from 'jose';
import { createIdentityVerifier, type IdentityVerifier } from '../../src/http/identity/identity-verifier.ts';
import { claimsOf, startTestIssuer, type TestIssuer } from '../support/issuer.ts';
import { refusedToken } from '../support/refused-token.ts';

let rsa: TestIssuer;
let ec: TestIssuer;
let verifier: IdentityVerifier;
before(async () => {
  [rsa, ec] = await Promise.all([startTestIssuer({ alg: 'RS256' }), startTestIssuer()]);
  verifier = createIdentityVerifier([rsa.config, ec.config], { now: Date.now });
});
after(() => Promise.all([rsa.stop(), ec.stop()]));

const ada = { sub: 'ada-1' };
const refused = (token: string, reason: RegExp) => refusedToken(verifier, token, reason);

test('the untouched tokens are accepted, so that what follows is refused for its own reason', async () => {
  for (const issuer of [rsa, ec]) assert.equal((await verifier.verify(await issuer.tokenFor(ada))).subject, 'ada-1');
});

test('HS256 with a public key as the secret is refused, whatever spelling of the key is the secret', async () => {
  for (const issuer of [rsa, ec]) {
    const alg = issuer.publicJwk.alg!;
    const pem = await exportSPKI(await importJWK({ ...issuer.publicJwk, kty: issuer === rsa ? 'RSA' : 'EC' }, alg));
    for (const secret of [
      pem,
      pem.trim(),
      JSON.stringify(issuer.publicJwk),
      issuer.publicJwk.n ?? issuer.publicJwk.x!,
    ]) {
      for (const hmac of ['HS256', 'HS384', 'HS512']) {
        const input = `${encode({ alg: hmac, typ: 'at+jwt', kid: issuer.kid })}.${encode(claims(issuer))}`;
        const mac = createHmac(hmac.replace('HS', 'sha'), secret).update(input).digest('base64url');
        await refused(`${input}.${mac}`, /`alg`/);
      }
    }
  }
});

test('`none` is refused in every spelling, with a signature and without', async () => {
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '']) {
    const input = `${encode({ alg, typ: 'at+jwt', kid: ec.kid })}.${encode(claims(ec))}`;
    await refused(`${input}.`, /canonical/);
    await refused(`${input}.AAAA`, /`alg`/);
  }
});

test('an algorithm that the key is not for is refused', async () => {
  for (const [issuer, alg] of [
    [ec, 'RS256'],
    [ec, 'ES384'],
    [ec, 'EdDSA'],
    [rsa, 'PS256'],
    [rsa, 'RS512'],
    [rsa, 'ES256'],
    [rsa, 'RS1'],
    [ec, 'ES256K'],
    [ec, 'toString'],
    [ec, '__proto__'],
  ] as const) {
    const [, payload, signature] = (await issuer.tokenFor(ada)).split('.');
    await refused(`${encode({ alg, typ: 'at+jwt', kid: issuer.kid })}.${payload}.${signature}`, /`alg`/);
  }
});

test('`crit` and `b64` are refused', async () => {
  const token = await ec.tokenFor(ada);
  for (const header of [{ crit: ['exp'], exp: 1 }, { crit: [] }, { b64: false, crit: ['b64'] }, { b64: true }]) {
    await refused(withHeader(token, header), /not accepted/);
  }
});

test('an encrypted token is refused', async () => {
  const { publicKey } = await generateKeyPair('ECDH-ES');
  const jwe = await new CompactEncrypt(Buffer.from(await ec.tokenFor(ada)))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', cty: 'JWT' })
    .encrypt(publicKey);
  await refused(jwe, /encrypted/);
});

test('a member named twice is refused in header and payload, though the signature is good', async () => {
  const subtle = JSON.stringify(claims(ec)).replace('{', '{"oid":"eve",');
  await refused(await signRaw(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: ec.kid }), subtle), /member twice/);
  const twoTypes = `{"alg":"ES256","typ":"JWT","kid":"${ec.kid}","typ":"at+jwt"}`;
  await refused(await signRaw(twoTypes, JSON.stringify(claims(ec))), /member twice/);
});

test('other spellings of an accepted token are refused, also when the token itself was just accepted', async () => {
  const token = await ec.tokenFor(ada);
  assert.ok(await verifier.verify(token));
  const [header, payload, signature] = token.split('.') as [string, string, string];
  for (const other of [
    `${token}=`,
    `${token}==`,
    `${token}\n`,
    ` ${token}`,
    `${header}=.${payload}.${signature}`,
    `${header}. ${payload}.${signature}`,
    `${header}.${payload}.${signature.slice(0, -1)}${nextLetter(signature.at(-1)!)}`,
    `${token}.`,
    token.toUpperCase(),
  ]) {
    await assert.rejects(verifier.verify(other), { code: 'unauthenticated' });
  }
});

test('a token longer than 16 KiB is refused before anything else is done with it', async () => {
  const asked = ec.requests.length;
  await refused(await ec.tokenFor(ada, { filling: 'x'.repeat(16_384) }), /too long/);
  await refused('x'.repeat(10_000_000), /too long/);
  await refused('.'.repeat(16_384), /three parts/);
  assert.equal(ec.requests.length, asked);
});

test('rubbish is refused as what it is', async () => {
  for (const rubbish of ['', '.', '..', 'a.b.c', 'null', '{}', 'ey.ey.ey', `${encode({})}.${encode({})}.AAAA`]) {
    await assert.rejects(verifier.verify(rubbish), { code: 'unauthenticated' });
  }
});

test('a token that brings or points to its own key is refused, and nothing is fetched', async () => {
  const eve = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(eve.publicKey)), kid: 'eve' };
  const trap = await startTestIssuer();
  for (const extra of [{ jwk }, { jku: `${trap.issuer}/jwks` }, { x5u: `${trap.issuer}/cert` }, { x5c: ['AAAA'] }]) {
    for (const kid of [ec.kid, 'eve']) {
      const token = await new SignJWT(claims(ec))
        .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid, ...extra })
        .sign(eve.privateKey);
      await refused(token, /not accepted/);
    }
  }
  assert.deepEqual(trap.requests, []);
  await trap.stop();
});

test('a token signed with a key of the other provider is refused', async () => {
  const third = await startTestIssuer();
  await refused(await third.sign(claims(ec), { kid: ec.kid }), /signature/);
  await refused(await third.sign(claims(ec)), /`kid`/);
  await third.stop();
});

function claims(issuer: TestIssuer): Record<string, unknown> {
  return claimsOf(ada, issuer.issuer, Date.now());
}

async function signRaw(header: string, payload: string): Promise<string> {
  const input = [header, payload].map((text) => Buffer.from(text).toString('base64url')).join('.');
  return `${input}.${await ec.signBytes(Buffer.from(input))}`;
}

function withHeader(token: string, extra: object): string {
  const [header, ...rest] = token.split('.') as [string, string, string];
  const members = JSON.parse(Buffer.from(header, 'base64url').toString()) as object;
  return [encode({ ...members, ...extra }), ...rest].join('.');
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function nextLetter(letter: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet[alphabet.indexOf(letter) + 1] ?? 'A';
}
