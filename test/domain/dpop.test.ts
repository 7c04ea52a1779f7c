import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { verifyDpopProof, type DpopQuestion } from '../../src/domain/dpop.ts';

const now = Date.UTC(2026, 2, 1, 12, 0, 0, 250);
const iat = Math.floor(now / 1_000);
const url = 'https://broker.example/v1/grants/grt_1/credentials';
const ada = await makeKey();
const eve = await makeKey();

test('a good proof gives its key, id, time and replay key', async () => {
  const verdict = verifyDpopProof(question(await prove()));
  const jkt = await calculateJwkThumbprint(ada.jwk);
  assert.ok(verdict.ok);
  assert.deepEqual({ ...verdict, replayKey: '' }, { ok: true, jkt, jti: 'one', iat, replayKey: '' });
  assert.match(verdict.replayKey, /^[A-Za-z0-9_-]{43}$/);
});

test('the replay key is the same for another signature over the same id, and no other', async () => {
  const keys = new Map<string, string>();
  for (const [name, proof] of [
    ['first', await prove()],
    ['signed again later', await prove({ iat: iat + 1 })],
    ['another id', await prove({ jti: 'two' })],
    ['another key', await prove({}, {}, eve)],
  ] as const) {
    const verdict = verifyDpopProof(question(proof));
    assert.ok(verdict.ok);
    keys.set(name, verdict.replayKey);
  }
  assert.equal(keys.get('first'), keys.get('signed again later'));
  assert.equal(new Set(keys.values()).size, 3);
});

test('the method must be the very one, and the address the same but for query and spelling', async () => {
  for (const htm of ['GET', 'post', '', null, ['POST']]) await refuses(await prove({ htm }), /`htm`/);
  for (const htu of [`${url}/`, url.replace('https', 'http'), url.replace('broker', 'evil'), '/v1', 7, null, [url]]) {
    await refuses(await prove({ htu }), /`htu`/);
  }
  for (const htu of [`${url}?a=b#c`, url.replace('broker.example', 'BROKER.example:443')]) {
    assert.ok(verifyDpopProof(question(await prove({ htu }))).ok, htu);
  }
});

test('the age is counted to the millisecond: 60 s old and 10 s ahead pass, a millisecond more does not', async () => {
  const proof = await prove();
  const at = async (milliseconds: number) => verifyDpopProof({ ...question(proof), now: milliseconds }).ok;
  assert.deepEqual(
    [await at(iat * 1_000 + 60_000), await at(iat * 1_000 + 60_001), await at(iat * 1_000 - 10_000)],
    [true, false, true],
  );
  assert.equal(await at(iat * 1_000 - 10_001), false);
  for (const wrong of [undefined, null, String(iat), [iat], -1, iat * 1_000]) {
    assert.equal(verifyDpopProof(question(await prove({ iat: wrong }))).ok, false);
  }
});

test('a proof made before the verifier started is refused', async () => {
  const proof = await prove();
  assert.ok(verifyDpopProof({ ...question(proof), notBefore: iat * 1_000 }).ok);
  await refuses(proof, /older than this process/, { notBefore: iat * 1_000 + 1 });
});

test('`ath` is required with a token, must be its hash, and is refused without one', async () => {
  const ath = createHash('sha256').update('the token').digest('base64url');
  assert.ok(verifyDpopProof({ ...question(await prove({ ath })), ath }).ok);
  await refuses(await prove(), /`ath`/, { ath });
  await refuses(await prove({ ath }), /`ath`/, { ath: createHash('sha256').update('another').digest('base64url') });
  await refuses(await prove({ ath }), /`ath`/);
});

test('the key must be the one the token is bound to', async () => {
  const expectedThumbprint = await calculateJwkThumbprint(ada.jwk);
  assert.ok(verifyDpopProof({ ...question(await prove()), expectedThumbprint }).ok);
  await refuses(await prove({}, {}, eve), /another key/, { expectedThumbprint });
});

test('a proof signed by another key than the one it shows is refused, also once that key is known', async () => {
  assert.ok(verifyDpopProof(question(await prove())).ok);
  await refuses(await prove({}, { jwk: ada.jwk }, eve), /signature/);
  const [header, , signature] = (await prove()).split('.') as [string, string, string];
  const claims = Buffer.from(JSON.stringify({ jti: 'x', htm: 'POST', htu: url, iat })).toString('base64url');
  await refuses(`${header}.${claims}.${signature}`, /signature/);
});

test('no header, an empty one and repeated headers are refused, joined or not', async () => {
  const proof = await prove();
  for (const none of [undefined, [], '']) assert.equal(verifyDpopProof(question(none)).ok, false);
  await refuses([proof, proof], /more than one/);
  await refuses([proof, await prove({ jti: 'two' })], /more than one/);
  assert.equal(verifyDpopProof(question(`${proof}, ${proof}`)).ok, false);
  assert.ok(verifyDpopProof(question([proof])).ok);
});

test('another type, another algorithm and another kind of key are refused', async () => {
  for (const typ of ['JWT', 'at+jwt', 'DPoP+jwt', 'application/dpop+jwt', 'latchkey-event+jwt']) {
    await refuses(await prove({}, { typ }), /`typ`/);
  }
  const es384 = await makeKey('ES384');
  await refuses(await prove({}, { alg: 'ES384' }, es384), /`alg`/);
  const ed25519 = await makeKey('Ed25519');
  await refuses(await prove({}, { alg: 'Ed25519' }, ed25519), /`alg`/);
  await refuses(await prove({}, { jwk: ed25519.jwk }), /P-256/);
  await refuses(await prove({}, { jwk: { kty: 'oct', k: 'AAAA' } }), /private key/);
  for (const jwk of [undefined, null, 'x', [ada.jwk]]) await refuses(await prove({}, { jwk }), /no key/);
});

test('a private key, a point off the curve and a second spelling of a coordinate are refused', async () => {
  const { d } = await exportJWK(ada.privateKey);
  await refuses(await prove({}, { jwk: { ...ada.jwk, d } }), /private key/);
  await refuses(await prove({}, { jwk: { ...ada.jwk, y: ada.jwk.x } }), /signature/);
  for (const x of [`${ada.jwk.x}=`, strayBit(ada.jwk.x!), ` ${ada.jwk.x}`, ada.jwk.x!.slice(1), 7]) {
    await refuses(await prove({}, { jwk: { ...ada.jwk, x } }), /malformed/);
  }
});

test('headers that name keys elsewhere, `crit` and unsigned proofs are refused', async () => {
  for (const extra of [
    { jku: 'https://keys.example' },
    { x5u: 'https://keys.example' },
    { x5c: ['AAAA'] },
    { crit: [] },
  ]) {
    await refuses(rewriteHeader(await prove(), extra), /not accepted/);
  }
  await refuses(rewriteHeader(await prove(), { alg: 'none' }), /`alg`/);
  await refuses(rewriteHeader(await prove(), { alg: 'HS256' }), /`alg`/);
});

test('`jti` is a text of 1 to 256 characters', async () => {
  for (const jti of [undefined, null, '', 7, 'x'.repeat(257), '\ud800', ['one']]) {
    await refuses(await prove({ jti }), /`jti`/);
  }
  assert.ok(verifyDpopProof(question(await prove({ jti: 'x'.repeat(256) }))).ok);
});

interface TestKey {
  readonly jwk: JWK;
  readonly privateKey: CryptoKey;
}

async function makeKey(alg = 'ES256'): Promise<TestKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { jwk: await exportJWK(publicKey), privateKey };
}

function prove(claims: object = {}, header: object = {}, key: TestKey = ada): Promise<string> {
  return new SignJWT({ jti: 'one', htm: 'POST', htu: url, iat, ...claims })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: key.jwk, ...header })
    .sign(key.privateKey);
}

function question(proof: DpopQuestion['proof']): DpopQuestion {
  return { proof, method: 'POST', url, now };
}

async function refuses(proof: DpopQuestion['proof'], reason: RegExp, more: Partial<DpopQuestion> = {}): Promise<void> {
  const verdict = verifyDpopProof({ ...question(proof), ...more });
  assert.ok(!verdict.ok, 'the proof was accepted');
  assert.match(verdict.reason, reason);
}

function rewriteHeader(proof: string, extra: object): string {
  const [header, ...rest] = proof.split('.') as [string, string, string];
  const members = JSON.parse(Buffer.from(header, 'base64url').toString()) as object;
  return [Buffer.from(JSON.stringify({ ...members, ...extra })).toString('base64url'), ...rest].join('.');
}

function strayBit(coordinate: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return coordinate.slice(0, -1) + alphabet[alphabet.indexOf(coordinate.at(-1)!) + 1];
}
