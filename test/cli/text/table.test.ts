import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { layOutTable, type Column } from '../../../src/cli/text/table.ts';
import { cutToWidth, textWidth, wrapToWidth } from '../../../src/cli/text/width.ts';

const columns: readonly Column[] = [
  { title: 'ID' },
  { title: 'REASON', shrinkTo: 6, leave: 1 },
  { title: 'FOR', align: 'right' },
];
const rows = [
  ['a-long-id', 'the panel in the room is frozen', '5 min'],
  ['b', 'short', '30 min'],
];

test('a table with room enough is aligned and cut nowhere', () => {
  assert.deepEqual(layOutTable(columns, rows, 100), [
    'ID         REASON                              FOR',
    'a-long-id  the panel in the room is frozen   5 min',
    'b          short                            30 min',
  ]);
});

test('a table too wide shrinks what may shrink', () => {
  assert.deepEqual(layOutTable(columns, rows, 30), [
    'ID         REASON          FOR',
    'a-long-id  the panel…    5 min',
    'b          short        30 min',
  ]);
});

test('a table far too wide drops what may go and keeps the ids whole', () => {
  assert.deepEqual(layOutTable(columns, rows, 20), ['ID            FOR', 'a-long-id   5 min', 'b          30 min']);
});

test('a column that wraps goes on below instead of being cut', () => {
  const wrapping: readonly Column[] = [{ title: 'ID' }, { title: 'SCOPES', shrinkTo: 6, wrap: true }, { title: 'FOR' }];
  assert.deepEqual(layOutTable(wrapping, [['a', 'one two three', '1 h']], 16), [
    'ID  SCOPES   FOR',
    'a   one two  1 h',
    '    three',
  ]);
});

test('wide letters, emoji and combining marks take the columns they take on a terminal', () => {
  assert.equal(textWidth('会議室'), 6);
  assert.equal(textWidth('👩‍🔧 ok'), 5);
  assert.equal(textWidth('e\u0301'), 1);
  assert.equal(cutToWidth('会議室の画面', 6), '会議…');
  assert.equal(cutToWidth('whole', 5), 'whole');
});

test('text is wrapped at spaces, and a long word is left whole', () => {
  assert.deepEqual(wrapToWidth('one two three', 7), ['one two', 'three']);
  assert.deepEqual(wrapToWidth('a verylongword b', 6), ['a', 'verylongword', 'b']);
});

test('whatever is in the cells, no line is wider than asked when everything may shrink or go', () => {
  const loose: readonly Column[] = [
    { title: 'A', shrinkTo: 1 },
    { title: 'B', shrinkTo: 1, leave: 1 },
  ];
  const cell = fc.string({ unit: fc.constantFrom('a', ' ', 'ø', '会', '👍') });
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell)), fc.integer({ min: 4, max: 60 }), (cells, width) => {
      for (const line of layOutTable(loose, cells, width)) assert.ok(textWidth(line) <= width, `${line}|`);
    }),
  );
});
