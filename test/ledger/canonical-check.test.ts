import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { canonicalJson } from '../../src/ledger/canonical.ts';
import { parseCanonical } from '../../src/ledger/canonical-check.ts';
import { isPlainlyCanonical } from '../../src/ledger/canonical-scan.ts';

const objects = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 3 }));

const accepts = (bytes: Uint8Array): boolean => {
  try {
    parseCanonical(bytes);
    return true;
  } catch {
    return false;
  }
};

/** By the long way: read, written anew, compared. */
const isCanonical = (bytes: Buffer): boolean => {
  try {
    return Buffer.from(canonicalJson(JSON.parse(bytes.toString('utf8')))).equals(bytes);
  } catch {
    return false;
  }
};

test('canonical JSON is read as what it says', () => {
  fc.assert(
    fc.property(objects, (object) => {
      const text = canonicalJson(object);
      assert.deepEqual(parseCanonical(Buffer.from(text)), JSON.parse(text));
    }),
  );
});

test('no other bytes are taken for canonical, wherever one of them is changed', () => {
  const change = fc.record({
    at: fc.nat(),
    byte: fc.integer({ min: 0, max: 255 }),
    how: fc.constantFrom('set', 'insert', 'drop'),
  });
  fc.assert(
    fc.property(objects, change, (object, { at, byte, how }) => {
      const bytes = [...Buffer.from(canonicalJson(object))];
      const place = at % bytes.length;
      const spoilt = Buffer.from(
        how === 'drop'
          ? bytes.toSpliced(place, 1)
          : how === 'set'
            ? bytes.with(place, byte)
            : bytes.toSpliced(place, 0, byte),
      );
      if (isPlainlyCanonical(spoilt)) assert.ok(isCanonical(spoilt), spoilt.toString());
      if (accepts(spoilt)) assert.ok(isCanonical(spoilt), spoilt.toString());
    }),
    { numRuns: 2_000 },
  );
});

for (const [what, text] of [
  ['a space', '{"a": 1}'],
  ['members out of order', '{"b":1,"a":2}'],
  ['members out of order further in', '{"a":[{"d":1,"c":2}]}'],
  ['one member twice', '{"a":1,"a":1}'],
  ['a number with a zero too many', '{"a":1.0}'],
  ['a number that begins with zero', '{"a":01}'],
  ['minus zero', '{"a":-0}'],
  ['a large number that is written otherwise', '{"a":1000000000000000000000}'],
  ['an escape that is not needed', String.raw`{"a":"\u0061"}`],
  ['an escaped slash', String.raw`{"a":"\/"}`],
  ['half of a pair', String.raw`{"a":"\ud800"}`],
  ['a list', '[1]'],
  ['a word', '"a"'],
  ['two values', '{}{}'],
  ['nothing', ''],
  ['a comma too many', '{"a":1,}'],
] as const) {
  test(`${what} is not canonical`, () => assert.throws(() => parseCanonical(Buffer.from(text)), { name: 'Malformed' }));
}

test('names are ordered as RFC 8785 orders them, also where JavaScript would not', () => {
  assert.deepEqual(parseCanonical(Buffer.from('{"10":1,"9":2}')), { 9: 2, 10: 1 });
  assert.throws(() => parseCanonical(Buffer.from('{"9":2,"10":1}')));
  assert.throws(() => parseCanonical(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), { name: 'Malformed' });
});
