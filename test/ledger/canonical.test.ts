import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import canonicalize from 'canonicalize';
import * as fc from 'fast-check';
import { canonicalJson, commit, leafBytes, longestLeaf } from '../../src/ledger/canonical.ts';
import { broker, eventOf, type Commitment } from '../../src/ledger/events.ts';

describe('canonical JSON is RFC 8785', () => {
  test('its example of literals, numbers and strings (§3.2.2)', () => {
    const input = String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`;
    const expected = String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`;
    assert.equal(canonicalJson(JSON.parse(input)), expected);
    // The octets of §3.2.4, as far as the first of the numbers.
    const octets = '7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a5b';
    assert.ok(
      Buffer.from(canonicalJson(JSON.parse(input)))
        .toString('hex')
        .startsWith(octets),
    );
  });

  test('its example of sorting, by UTF-16 code units (§3.2.3)', () => {
    const members = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    };
    const values = Object.values(JSON.parse(canonicalJson(members)) as object).filter((value) => value !== 'One');
    const sorted = [
      'Carriage Return',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ];
    assert.deepEqual(values, sorted);
    assert.match(canonicalJson(members), /^\{"\\r":"Carriage Return","1":"One"/);
  });

  test('its samples of numbers (appendix B)', () => {
    const samples: [string, string][] = [
      ['0000000000000000', '0'],
      ['8000000000000000', '0'],
      ['0000000000000001', '5e-324'],
      ['8000000000000001', '-5e-324'],
      ['7fefffffffffffff', '1.7976931348623157e+308'],
      ['4340000000000000', '9007199254740992'],
      ['c340000000000000', '-9007199254740992'],
      ['4430000000000000', '295147905179352830000'],
      ['44b52d02c7e14af5', '9.999999999999997e+22'],
      ['44b52d02c7e14af6', '1e+23'],
      ['444b1ae4d6e2ef4f', '999999999999999900000'],
      ['444b1ae4d6e2ef50', '1e+21'],
      ['3eb0c6f7a0b5ed8d', '0.000001'],
      ['41b3de4355555553', '333333333.3333332'],
      ['becbf647612f3696', '-0.0000033333333333333333'],
      ['43143ff3c1cb0959', '1424953923781206.2'],
    ];
    for (const [bits, text] of samples) {
      assert.equal(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE(0)), text);
    }
  });

  test('the same value gives the same bytes, in whatever order its members were set', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (members) => {
        const reversed = Object.fromEntries(Object.entries(members).toReversed());
        assert.equal(canonicalJson(members), canonicalJson(reversed));
        assert.equal(canonicalJson(JSON.parse(canonicalJson(members))), canonicalJson(members));
      }),
    );
  });

  test('what the implementation of the RFC’s authors writes is what is written here', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }), (value) => {
        assert.equal(canonicalJson(value), canonicalize(value));
      }),
      { numRuns: 1_000 },
    );
  });

  test('what JSON has no form for is refused, wherever it stands', () => {
    const values = [undefined, () => 1, Symbol('s'), 1n, Number.NaN, Infinity, -Infinity, '\ud800', 'a\udc00b'];
    for (const value of values) {
      assert.throws(() => canonicalJson(value), TypeError, String(value));
      assert.throws(() => canonicalJson([value]), TypeError, String(value));
      if (value !== undefined) assert.throws(() => canonicalJson({ a: { b: value } }), TypeError, String(value));
    }
    assert.throws(() => canonicalJson({ '\ud800': 1 }), TypeError);
    assert.throws(() => canonicalJson(Array(1)), TypeError);
  });

  test('what is no plain data is refused rather than written as an empty object', () => {
    for (const value of [new Date(0), new Map([[1, 2]]), new Set([1]), Buffer.from('a'), /a/]) {
      assert.throws(() => canonicalJson({ value }), TypeError, value.constructor.name);
    }
    assert.equal(canonicalJson({ a: undefined, b: Object.assign(Object.create(null), { c: 1 }) }), '{"b":{"c":1}}');
  });
});

describe('a commitment', () => {
  test('is SHA-256 over the salt’s bytes and the text’s in UTF-8', () => {
    const salt = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
    const expected = createHash('sha256')
      .update(Buffer.concat([salt, Buffer.from('panel gefröstelt ❄')]))
      .digest('base64url');
    assert.equal(commit(salt, 'panel gefröstelt ❄'), expected);
    assert.match(expected, /^[\w-]{43}$/);
  });

  test('says nothing of the text without its salt', () => {
    const salts = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)] as const;
    assert.notEqual(commit(salts[0], 'yes'), commit(salts[1], 'yes'));
    assert.notEqual(commit(salts[0], 'yes'), commit(salts[0], 'no'));
  });
});

describe('the bytes of an event', () => {
  const event = (policies: string[]): ReturnType<typeof eventOf> =>
    eventOf(
      {
        type: 'request.approved',
        request: 'req_00000000000000000000000001' as never,
        stage: 'lead',
        comment: null,
        narrow: null,
        decision: { policy: 'digest', policies, inputs: 'x'.repeat(43) as Commitment },
      },
      { at: new Date('2026-03-01T09:26:12.345Z'), region: 'EU', tenant: null, actor: broker },
    );

  test('are its canonical JSON in UTF-8', () => {
    const made = event(['leads-décident']);
    assert.deepEqual(leafBytes(made), Buffer.from(canonicalJson(made)));
    assert.equal(made.at, '2026-03-01T09:26:12.345Z');
    assert.match(made.id, /^evt_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
  });

  test('are at most as many as an entry of the ledger has room for, counted as bytes', () => {
    const empty = leafBytes(event([''])).length;
    const room = longestLeaf - empty;
    assert.equal(leafBytes(event(['a'.repeat(room)])).length, longestLeaf);
    assert.throws(() => leafBytes(event(['a'.repeat(room + 1)])), RangeError);
    assert.throws(() => leafBytes(event(['é'.repeat(room / 2 + 1)])), RangeError);
  });
});
