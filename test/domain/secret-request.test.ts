import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as holds, base64String, json, oneof, property, string } from 'fast-check';
import { SignJWT } from 'jose';
import { CompactJweError, requireCanonicalCompactJwe } from '../../src/domain/compact-jwe.ts';
import { newId } from '../../src/domain/ids.ts';
import { isPassword, passwordAlphabet, passwordLength } from '../../src/domain/local-admin.ts';
import { verifySecretRequest } from '../../src/domain/secret-request.ts';
import { newPassword } from '../../src/credentials/password.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { newOneTimeKey } from '../support/passwords.ts';

const [grant, device] = [newId('grant', 1), newId('device', 1)];
const issuer = 'https://latchkey.example';
const now = Date.parse('2026-03-01T09:30:00.000Z');
const ages = { maxAgeSeconds: 60, maxFutureSeconds: 10 };
const ask = (proof: string, at = now) => verifySecretRequest({ proof, issuer, grant, device, now: at, ...ages });

test('a request holds from ten seconds before it was made to sixty after, to the millisecond', async () => {
  const [key, oneTime] = [await newEngineerKey(), await newOneTimeKey()];
  const proof = await new SignJWT({ aud: issuer, grant, device, jti: 'one', iat: now / 1_000, key: oneTime.publicJwk })
    .setProtectedHeader({ alg: 'ES256', typ: 'latchkey-secret-request+jwt', jwk: key.publicJwk })
    .sign(key.privateKey);
  for (const [at, ok] of [
    [-10_001, false],
    [-10_000, true],
    [0, true],
    [60_000, true],
    [60_001, false],
  ] as const) {
    assert.equal(ask(proof, now + at).ok, ok, String(at));
  }
  const verdict = ask(proof);
  assert.ok(verdict.ok && verdict.oneTimeKey.x === oneTime.publicJwk.x && verdict.jkt !== verdict.oneTimeKey.jkt);
});

test('whatever is asked with is refused with a reason, or taken; nothing else is thrown', () => {
  const part = oneof(
    base64String(),
    string(),
    json().map((text) => Buffer.from(text).toString('base64url')),
  );
  const text = array(part, { maxLength: 6 }).map((parts) => parts.join('.'));
  holds(
    property(text, (proof) => {
      const verdict = ask(proof);
      assert.ok(!verdict.ok && verdict.reason.length > 0);
    }),
  );
  holds(
    property(text, (jwe) => {
      assert.throws(() => requireCanonicalCompactJwe(jwe, { typ: 'x', maxLength: 1_000 }), CompactJweError);
    }),
  );
});

test('passwords are of letters that nobody confuses, of each kind that accounts ask for, and never the same', () => {
  const made = Array.from({ length: 2_000 }, () => newPassword().reveal());
  assert.equal(new Set(made).size, made.length);
  for (const password of made) assert.ok(isPassword(password) && password.length === passwordLength);
  const letters = new Set(made.join(''));
  assert.deepEqual([...letters].sort(), passwordAlphabet.split('').sort());
  for (const text of ['', 'abc', 'a'.repeat(24), `${made[0]}\n`, `${made[0]!.slice(1)}:`, `${made[0]!.slice(1)}l`]) {
    assert.ok(!isPassword(text), JSON.stringify(text));
  }
});
