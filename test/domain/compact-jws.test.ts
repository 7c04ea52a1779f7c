import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CompactJwsError, requireCanonicalCompactJws } from '../../src/domain/compact-jws.ts';

const maxLength = 4_096;
const header = { alg: 'ES256', typ: 'at+jwt', kid: 'k' };

test('a well-formed token is read, header and payload', () => {
  assert.deepEqual(requireCanonicalCompactJws(token(header, { sub: 'ada' }), { maxLength }), {
    header,
    payload: { sub: 'ada' },
  });
});

test('of all texts that decode to the same bytes only one is accepted', () => {
  fc.assert(
    fc.property(fc.object(), fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.nat(2), (claims, signature, index) => {
      const parts = [encode(header), encode(claims), Buffer.from(signature).toString('base64url')];
      assert.ok(requireCanonicalCompactJws(parts.join('.'), { maxLength: 1e6 }));
      for (const other of spellings(parts[index]!)) {
        refuses(parts.with(index, other).join('.'), /not canonical base64url/);
      }
    }),
  );
});

/** Other texts that Node, and many a library, would decode to the same bytes. */
function spellings(part: string): string[] {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const strayBits = part.slice(0, -1) + alphabet[alphabet.indexOf(part.at(-1)!) + 1];
  return [
    `${part}=`,
    `${part}==`,
    ` ${part}`,
    `${part}\n`,
    `${part.slice(0, 1)}\r\n${part.slice(1)}`,
    ...(part.length % 4 === 0 ? [] : [strayBits, part.padEnd(Math.ceil(part.length / 4) * 4, '=')]),
    ...(/[-_]/.test(part) ? [part.replaceAll('-', '+').replaceAll('_', '/')] : []),
  ];
}

for (const member of ['crit', 'b64', 'jku', 'x5u', 'x5c', 'jwk', 'enc', 'zip']) {
  test(`a header with \`${member}\` is refused, whatever its value`, () => {
    for (const value of [null, [], ['exp'], 'https://keys.example/', {}, false]) {
      refuses(token({ ...header, [member]: value }, {}), new RegExp(`\`${member}\``));
    }
  });
}

test('`jwk` passes only where it is allowed', () => {
  assert.ok(requireCanonicalCompactJws(token({ ...header, jwk: {} }, {}), { maxLength, allowJwk: true }));
});

test('a name given twice is refused in the header and in the payload', () => {
  const payload = '{"aud":"latchkey","\\u0061ud":"other"}';
  refuses([raw('{"alg":"none","alg":"ES256"}'), encode({}), 'AAAA'].join('.'), /header names a member twice/);
  refuses([encode(header), raw(payload), 'AAAA'].join('.'), /payload names a member twice/);
});

test('JWE, too few and too many parts, empty parts and long texts are refused', () => {
  const [h, p, s] = token(header, {}).split('.') as [string, string, string];
  refuses([h, 'AAAA', 'AAAA', 'AAAA', s].join('.'), /encrypted/);
  for (const text of [h, `${h}.${p}`, `${h}.${p}.${s}.${s}`, `${h}.${p}.${s}.a.b.c`]) refuses(text, /three parts/);
  for (const text of [`.${p}.${s}`, `${h}..${s}`, `${h}.${p}.`, '..']) refuses(text, /not canonical/);
  refuses('', /empty/);
  refuses(token(header, { x: 'x'.repeat(maxLength) }), /too long/);
});

test('a header or payload that is no object, no JSON or no UTF-8 is refused', () => {
  for (const text of ['[]', 'null', '"x"', '1']) refuses([encode(header), raw(text), 'AAAA'].join('.'), /JSON object/);
  refuses([raw('{'), encode({}), 'AAAA'].join('.'), /not JSON/);
  refuses([raw('\ufeff{"alg":"ES256"}'), encode({}), 'AAAA'].join('.'), /not JSON/);
  const overlong = Buffer.from([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url');
  refuses([encode(header), overlong, 'AAAA'].join('.'), /not UTF-8/);
});

test('`alg` must be there, `typ` and `kid` must be texts, and a prototype adds nothing', () => {
  refuses(token({ typ: 'JWT' }, {}), /no `alg`/);
  refuses(token({ alg: ['ES256'] }, {}), /no `alg`/);
  refuses(token({ ...header, typ: 1 }, {}), /`typ`/);
  refuses(token({ ...header, kid: { a: 1 } }, {}), /`kid`/);
  refuses([raw('{"__proto__":{"alg":"ES256"}}'), encode({}), 'AAAA'].join('.'), /no `alg`/);
});

test('a header that was read before is read the same, and no token can change it for another', () => {
  const own = { ...header, kid: 'shared', jwk: { kty: 'EC' } };
  const options = { maxLength, allowJwk: true };
  const first = requireCanonicalCompactJws(token(own, { a: 1 }), options);
  const second = requireCanonicalCompactJws(token(own, { b: 2 }), options);
  assert.deepEqual(second, { header: own, payload: { b: 2 } });
  assert.throws(() => Object.assign(first.header, { alg: 'none' }), TypeError);
  assert.throws(() => Object.assign(first.header['jwk'] as object, { kty: 'oct' }), TypeError);
  refuses(token(own, {}), /its own key/);
});

test('however many headers come by, none is taken for another', () => {
  for (const kid of Array.from({ length: 1_000 }, (_, at) => `k${at % 600}`)) {
    assert.equal(requireCanonicalCompactJws(token({ ...header, kid }, {}), { maxLength }).header.kid, kid);
  }
});

function refuses(text: string, reason: RegExp): void {
  assert.throws(
    () => requireCanonicalCompactJws(text, { maxLength }),
    (error) => error instanceof CompactJwsError && reason.test(error.message),
  );
}

function token(header: object, payload: object): string {
  return [encode(header), encode(payload), 'AAAA'].join('.');
}
function encode(value: object): string {
  return raw(JSON.stringify(value));
}
function raw(text: string): string {
  return Buffer.from(text).toString('base64url');
}
