import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDuration, parseDuration } from '../../src/domain/duration.ts';

test('durations are read in days, hours, minutes and seconds', () => {
  const read: [string, number][] = [
    ['PT1S', 1],
    ['PT30M', 1_800],
    ['PT1H', 3_600],
    ['P1D', 86_400],
    ['P1DT2H3M4S', 93_784],
    ['PT90M', 5_400],
    ['PT0S', 0],
    ['P0D', 0],
    ['PT1H5S', 3_605],
  ];
  for (const [text, seconds] of read) assert.equal(parseDuration(text), seconds, text);
});

test('a duration is written in its shortest form', () => {
  const written: [number, string][] = [
    [0, 'PT0S'],
    [59, 'PT59S'],
    [60, 'PT1M'],
    [5_400, 'PT1H30M'],
    [86_400, 'P1D'],
    [90_061, 'P1DT1H1M1S'],
  ];
  for (const [seconds, text] of written) assert.equal(formatDuration(seconds), text);
});

test('what is written is read back as it was', () => {
  fc.assert(fc.property(fc.nat(2_000_000_000), (seconds) => parseDuration(formatDuration(seconds)) === seconds));
});

test('months, years, weeks, fractions, signs and anything else are no durations', () => {
  const refused = [
    '',
    'P',
    'PT',
    'P1',
    '1H',
    'P1Y',
    'P1M',
    'P1W',
    'PT1.5H',
    'PT1,5S',
    '-PT1H',
    'PT-1H',
    '+PT1H',
    'PT1M1H',
  ];
  const more = [
    'P1DT',
    'pt1h',
    ' PT1H',
    'PT1H ',
    'PT1H\n',
    'PT1HPT1H',
    'PT１H',
    'P1H',
    'PT1D',
    'PT0x1S',
    'PT1e3S',
    'P999999D',
  ];
  for (const text of [...refused, ...more]) assert.equal(parseDuration(text), null, JSON.stringify(text));
});
