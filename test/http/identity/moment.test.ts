import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readMoment } from '../../../src/http/identity/moment.ts';

const cases: [unknown, string | null][] = [
  ['2027-03-01', '2027-03-01T00:00:00.000Z'],
  ['2027-03-01T12:00:00Z', '2027-03-01T12:00:00.000Z'],
  ['2027-03-01t12:00:00.5z', '2027-03-01T12:00:00.500Z'],
  ['2027-03-01T12:00:00-05:30', '2027-03-01T17:30:00.000Z'],
  [1_803_902_400, '2027-03-01T12:00:00.000Z'],
  [0, '1970-01-01T00:00:00.000Z'],
  ['2028-02-29', '2028-02-29T00:00:00.000Z'],
  ['2027-02-29', null],
  ['2027-02-30T00:00:00Z', null],
  ['2027-13-01', null],
  ['2027-03-01T12:00:00', null],
  ['2027-03-01T24:00:00Z', null],
  ['2027-03-01T12:00:60Z', null],
  ['0000-01-01T00:00:00+23:59', null],
  ['1803902400', null],
  ['tomorrow', null],
  ['March 1, 2027', null],
  ['', null],
  [-1, null],
  [1_803_902_400_000, null],
  [Number.NaN, null],
  [Number.POSITIVE_INFINITY, null],
  [null, null],
  [true, null],
  [['2027-03-01'], null],
];
for (const [value, expected] of cases) {
  test(`${JSON.stringify(value)} is ${expected === null ? 'no moment' : `\`${expected}\``}`, () => {
    assert.equal(readMoment(value), expected);
  });
}
