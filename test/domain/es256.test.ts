import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { es256Signature, hasEs256Signature, publicKeyOnP256 } from '../../src/domain/es256.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const dsaEncoding = 'ieee-p1363';

test('what is signed here verifies as RFC 7518 has it, and the other way round, whatever zeros the numbers begin with', () => {
  // One number in 128 is shorter than 32 bytes, one in two needs a sign: a thousand signatures have all of these.
  for (let count = 0; count < 1_000; count++) {
    const text = `header.payload-${count}`;
    const made = Buffer.from(es256Signature(text, privateKey), 'base64url');
    assert.equal(made.length, 64);
    assert.ok(verify('sha256', Buffer.from(text), { key: publicKey, dsaEncoding }, made), text);
    const theirs = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding }).toString('base64url');
    assert.ok(hasEs256Signature(`${text}.${theirs}`, publicKey), text);
  }
});

const text = 'header.payload';
const good = Buffer.from(es256Signature(text, privateKey), 'base64url');
const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
const bad: readonly [what: string, signature: Buffer][] = [
  ['two zeros', Buffer.alloc(64)],
  ['a first number of zero', Buffer.concat([Buffer.alloc(32), good.subarray(32)])],
  ['a second number of zero', Buffer.concat([good.subarray(0, 32), Buffer.alloc(32)])],
  ['numbers that are the order of the curve', Buffer.concat([order, order])],
  ['numbers as large as they can be', Buffer.alloc(64, 0xff)],
  ['a byte too few', good.subarray(0, 63)],
  ['a byte too many', Buffer.concat([good, Buffer.of(0)])],
  ['nothing', Buffer.alloc(0)],
  ['its numbers swapped', Buffer.concat([good.subarray(32), good.subarray(0, 32)])],
  ['the form that OpenSSL writes', sign('sha256', Buffer.from(text), privateKey)],
];
for (const [what, signature] of bad) {
  test(`a signature of ${what} does not verify`, () => {
    assert.equal(hasEs256Signature(`${text}.${signature.toString('base64url')}`, publicKey), false);
  });
}

test('a signature holds for its own text and key alone', () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  assert.ok(hasEs256Signature(`${text}.${good.toString('base64url')}`, publicKey));
  assert.equal(hasEs256Signature(`${text}.${good.toString('base64url')}`, other), false);
  assert.equal(hasEs256Signature(`${text}s.${good.toString('base64url')}`, publicKey), false);
});

test('a point that is not on the curve makes no key', () => {
  const { x, y } = publicKey.export({ format: 'jwk' }) as { x: string; y: string };
  assert.ok(publicKeyOnP256(x, y).equals(publicKey));
  assert.throws(() => publicKeyOnP256(y, x));
});
