import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { jsonText, neutralise, neutraliseButColours, neutraliseLines } from '../../../src/cli/text/neutralise.ts';

test('an escape sequence in a reason becomes visible and harmless', () => {
  assert.equal(neutralise('fine\u001b[2J\u001b[1;1Happroved'), 'fine␛[2J␛[1;1Happroved');
  assert.equal(neutralise('\u009b31mred'), '\ufffd31mred');
  assert.equal(neutralise('bell\u0007 delete\u007f back\b'), 'bell␇ delete␡ back␈');
});

test('line breaks and tabs become one space, so that nobody adds lines to a table', () => {
  assert.equal(neutralise('a\r\n\tb\u2028c'), 'a b c');
});

test('marks that turn the reading direction or cannot be seen are shown as replacements', () => {
  assert.equal(neutralise('dev\u202eneila\u2066x\u200b'), 'dev\ufffdneila\ufffdx\ufffd');
  assert.equal(neutralise('\ud800 half'), '\ufffd half');
});

test('ordinary words of any language stay as they are', () => {
  const text = 'Møterom «Ås» – 会議室 – 👩‍🔧 – café';
  assert.equal(neutralise(text), text);
});

test('output of a device keeps its lines and tabs and loses its escapes and lone carriage returns', () => {
  assert.equal(neutraliseLines('a\tb\r\nc\rd\u001b[0m\n'), 'a\tb\nc␍d␛[0m\n');
});

test('whatever comes in, no control character comes out', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(neutralise(text), /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
      assert.doesNotMatch(neutraliseLines(text).replaceAll(/[\n\t]/g, ''), /\p{Cc}/u);
    }),
  );
});

test('on the way out plain colours pass and nothing else does', () => {
  assert.equal(
    neutraliseButColours('\u001b[31mred\u001b[39m \u001b[2J \u001b[1;1H\n'),
    '\u001b[31mred\u001b[39m ␛[2J ␛[1;1H ',
  );
});

test('JSON keeps its meaning while nothing in it can act on a terminal', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const json = jsonText({ text });
      assert.doesNotMatch(json, /[\p{Cc}\u2028\u202e]/u);
      assert.deepEqual(JSON.parse(json), { text });
    }),
  );
});
