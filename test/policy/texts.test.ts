import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { splitStatements, tooMuchInPolicy } from '../../src/policy/cedar-text.ts';
import { JsonTextError, placeOfPointer, readJson } from '../../src/policy/json-text.ts';
import { indexOfByte, placeOf } from '../../src/policy/mistake.ts';
import { onlyRead } from '../../src/policy/reads.ts';

test('a file of policies is cut at the semicolons that end them, not at those in strings and comments', () => {
  const text = '// a; b\n@id("x;\\"y") permit (); // c;\n\n forbid // d;\n(";");  rest ';
  const statements = splitStatements(text);
  assert.deepEqual(
    statements.map((statement) => statement.text),
    ['@id("x;\\"y") permit ();', 'forbid // d;\n(";");', 'rest '],
  );
  for (const { text: part, start } of statements) assert.ok(text.startsWith(part, start));
});

test('cutting loses nothing but blanks and comments', () => {
  const piece = fc.constantFrom('a', ';', '"', '\\', '//', '\n', ' ', 'é');
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join('');
      let end = 0;
      for (const { text: part, start } of splitStatements(text)) {
        assert.match(text.slice(end, start), /^(?:\s|\/\/[^\n]*(?:\n|$))*$/);
        assert.ok(text.startsWith(part, start) && part.length > 0);
        end = start + part.length;
      }
    }),
  );
});

test('strings and comments count neither as nesting nor as operators', () => {
  const quiet = `permit (principal, action, resource) when { "${'(&&'.repeat(300)}" == "" }; // ${'(||'.repeat(300)}`;
  assert.equal(tooMuchInPolicy(quiet), null);
  assert.equal(tooMuchInPolicy(`${'(true) && '.repeat(200)}true`), null);
  assert.equal(tooMuchInPolicy(`${'true && '.repeat(201)}true`)?.index, 1605);
  assert.equal(tooMuchInPolicy('('.repeat(33))?.index, 32);
});

test('places count lines and characters, whatever their width in bytes', () => {
  const text = 'é😀\n日本x';
  const index = indexOfByte(text, Buffer.byteLength('é😀\n日本'));
  assert.equal(text[index], 'x');
  assert.deepEqual(placeOf(text, index), { line: 2, column: 3 });
  assert.deepEqual(placeOf(text, text.indexOf('\n')), { line: 1, column: 3 });
});

test('JSON reads as the platform reads it, and every value is found where it stands', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => {
      const json = readJson(text);
      assert.deepEqual(json.value, JSON.parse(text));
      assert.equal(placeOfPointer(json, '/no/such/thing') >= 0, true);
    }),
  );
  const json = readJson('{ "a": [1, { "b/c": true }] }');
  assert.equal(placeOfPointer(json, '/a/1/b~1c'), 20);
  assert.equal(placeOfPointer(json, '/a/1/missing'), 11);
});

test('what is no JSON for the platform is none here, and the other way round', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"',
    '\\u00e9',
    '1',
    '-',
    '.5',
    'e3',
    'true',
    'nul',
    ' ',
    '\n',
    '\u0001',
    '\u007f',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const text = pieces.join('');
      let good = true;
      try {
        JSON.parse(text);
      } catch {
        good = false;
      }
      if (good) assert.deepEqual(readJson(text).value, JSON.parse(text));
      else assert.throws(() => readJson(text), JsonTextError);
    }),
    { numRuns: 2_000 },
  );
});

test('a name twice and nesting without end are mistakes with a place', () => {
  assert.throws(() => readJson('{"a":1,"a":2}'), { index: 7, message: '`a` stands here twice' });
  assert.throws(() => readJson('['.repeat(100_000)), { index: 32, message: 'nested too deeply' });
  assert.throws(() => readJson('{"a":1'), { index: 6 });
});

test('only what a path reaches is left of a context', () => {
  const context = { now: 1, profile: { name: 'a', scopes: ['b'] }, tenant: { slug: 'c' } };
  assert.deepEqual(onlyRead(context, [['now'], ['profile', 'name']]), { now: 1, profile: { name: 'a' } });
  assert.deepEqual(onlyRead(context, [['profile', 'name'], ['profile']]), { profile: context.profile });
  assert.deepEqual(onlyRead(context, [['tenant', 'region']]), { tenant: {} });
  assert.deepEqual(onlyRead(context, []), {});
  assert.equal(onlyRead(context, [['now'], []]), context);
});
