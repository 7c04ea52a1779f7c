import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decodeBase64, decodeBase64url } from '../../src/domain/base64.ts';

/** Digits of both alphabets, and what decoders step over, stop at, or take for something else. */
const strange = fc.constantFrom(
  ...Array.from('AQgwZaz09+/-_= \n\r\t.,~\u0000\u007f\u00ad\u00e9\u0100\u2003\ufeff\uff21'),
);
const digits = fc.constantFrom(...Array.from('ABCDEFabcdef0189+/-_'));
const texts = fc.oneof(
  fc.array(digits, { maxLength: 40 }).map((all) => all.join('')),
  fc.array(fc.oneof({ weight: 9, arbitrary: digits }, strange), { maxLength: 20 }).map((all) => all.join('')),
  fc
    .tuple(fc.uint8Array({ maxLength: 8 }), fc.constantFrom('', '=', '==', '===', 'A', '\n'))
    .map(([bytes, end]) => Buffer.from(bytes).toString('base64').replace(/=*$/, '') + end),
);

/** The long way: what does not encode back is another spelling. */
const oneForm = (text: string, encoding: 'base64' | 'base64url'): Buffer | null => {
  const bytes = Buffer.from(text, encoding);
  return bytes.toString(encoding) === text ? bytes : null;
};

test('exactly the texts that their bytes encode back to are decoded', () => {
  fc.assert(
    fc.property(texts, (text) => {
      assert.deepEqual(decodeBase64url(text), oneForm(text, 'base64url'));
      assert.deepEqual(decodeBase64(text), oneForm(text, 'base64'));
    }),
    { numRuns: 20_000 },
  );
});

test('whatever an encoder writes is decoded to what it was', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6_000 }), (bytes) => {
      const buffer = Buffer.from(bytes);
      assert.deepEqual(decodeBase64url(buffer.toString('base64url')), buffer);
      assert.deepEqual(decodeBase64(buffer.toString('base64')), buffer);
    }),
  );
});

test('every single spelling of one to three bytes but one is refused', () => {
  const alphabet = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');
  for (const first of alphabet) {
    const taken = alphabet.filter((last) => decodeBase64url(first + last) !== null);
    assert.equal(taken.length, 4, first);
    assert.equal(alphabet.filter((last) => decodeBase64url(`A${first}${last}`) !== null).length, 16, first);
  }
});
