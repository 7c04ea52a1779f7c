import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseStrictJson } from '../../src/domain/strict-json.ts';

test('whatever JSON.stringify writes is read back as it was', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
      const text = JSON.stringify(value);
      assert.deepEqual(parseStrictJson(text), JSON.parse(text));
    }),
  );
});

test('a member named twice is found wherever it stands and however it is spelt', () => {
  const twice = fc.tuple(fc.string(), fc.jsonValue(), fc.jsonValue()).map(([name, first, second]) => {
    const escaped = Array.from({ length: name.length }, (_, i) => unicode(name, i)).join('');
    return `{${JSON.stringify(name)}:${JSON.stringify(first)} , "${escaped}" :${JSON.stringify(second)}}`;
  });
  fc.assert(
    fc.property(twice, fc.constantFrom('', '[1,', '{"a":{"b":[{},'), (text, before) => {
      const after = { '': '', '[1,': ']', '{"a":{"b":[{},': ']}}' }[before];
      assert.throws(() => parseStrictJson(before + text + after), /names a member twice/);
    }),
  );
});

test('the same name in two objects, or as a value, is no duplicate', () => {
  assert.deepEqual(parseStrictJson('{"a":{"a":"a"},"b":[{"a":1},{"a":2}],"c":"a"}'), {
    a: { a: 'a' },
    b: [{ a: 1 }, { a: 2 }],
    c: 'a',
  });
});

test('nesting deeper than 32 is refused, 32 is not', () => {
  assert.ok(parseStrictJson('['.repeat(32) + ']'.repeat(32)));
  assert.throws(() => parseStrictJson('['.repeat(33) + ']'.repeat(33)), /too deep/);
});

test('text that is not JSON is refused without being repeated', () => {
  for (const text of ['', '{', '{"a":1,}', '{"secret"}', '\ufeff{}', "{'a':1}"]) {
    assert.throws(() => parseStrictJson(text), { name: 'SyntaxError', message: 'is not JSON' });
  }
});

function unicode(text: string, index: number): string {
  return `\\u${text.charCodeAt(index).toString(16).padStart(4, '0')}`;
}
