import assert from 'node:assert/strict';
import { test } from 'node:test';
import { paintFor, wantsColour } from '../../../src/cli/text/paint.ts';

test('colour is for terminals, NO_COLOR wins over everything, FORCE_COLOR over the rest', () => {
  const cases = [
    [{}, true, true],
    [{}, false, false],
    [{ NO_COLOR: '1' }, true, false],
    [{ NO_COLOR: '' }, true, true],
    [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
    [{ FORCE_COLOR: '1' }, false, true],
    [{ FORCE_COLOR: '0' }, true, false],
    [{ TERM: 'dumb' }, true, false],
  ] as const;
  for (const [env, isTerminal, expected] of cases) assert.equal(wantsColour(env, isTerminal), expected);
});

test('without colour the painter returns what it was given', () => {
  const paint = paintFor(false);
  assert.equal(paint.bad('no') + paint.good('yes') + paint.faint('') + paint.strong('x'), 'noyesx');
});
