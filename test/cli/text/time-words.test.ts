import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDuration } from '../../../src/domain/duration.ts';
import {
  durationWords,
  isoDurationWords,
  readDuration,
  readMoment,
  relativeTime,
} from '../../../src/cli/text/time-words.ts';

const now = Date.parse('2026-03-01T12:00:00.000Z');

test('times are told in one unit, the one people would use', () => {
  const cases = [
    ['2026-03-01T12:12:29.000Z', 'in 12 min'],
    ['2026-03-01T12:09:59.900Z', 'in 10 min'],
    ['2026-03-01T13:30:00.000Z', 'in 90 min'],
    ['2026-03-02T12:00:00.000Z', 'in 24 h'],
    ['2026-03-01T12:00:45.000Z', 'in 45 s'],
    ['2026-03-01T09:00:00.000Z', '3 h ago'],
    ['2026-02-27T12:00:00.000Z', '2 d ago'],
    ['2026-03-01T12:00:00.400Z', 'now'],
    ['2026-03-01T11:59:59.600Z', 'now'],
    ['not a time', 'at an unknown time'],
  ] as const;
  for (const [at, words] of cases) assert.equal(relativeTime(at, now), words);
});

test('durations are told in at most two units', () => {
  const cases = [
    [0, '0 s'],
    [90, '1 min 30 s'],
    [1800, '30 min'],
    [5400, '1 h 30 min'],
    [3605, '1 h'],
    [90_000, '1 d 1 h'],
  ] as const;
  for (const [seconds, words] of cases) assert.equal(durationWords(seconds), words);
  assert.equal(isoDurationWords('PT1H30M'), '1 h 30 min');
  assert.equal(isoDurationWords('P1M'), 'P1M');
});

test('durations are read as people write them and as the API does', () => {
  const cases = [
    ['30m', 1800],
    ['1h', 3600],
    ['1h30m', 5400],
    ['1 h 30 min', 5400],
    ['90s', 90],
    ['1d', 86_400],
    ['PT30M', 1800],
    ['pt30m', 1800],
    ['', null],
    [' ', null],
    ['30', null],
    ['m', null],
    ['-5m', null],
    ['1.5h', null],
    ['30m1h', null],
  ] as const;
  for (const [text, seconds] of cases) assert.equal(readDuration(text), seconds, text);
});

test('every duration that the API writes is read back as itself', () => {
  fc.assert(fc.property(fc.nat(10_000_000), (seconds) => readDuration(formatDuration(seconds)) === seconds));
});

test('moments are read as times of day, dates, and times from now', () => {
  assert.equal(readMoment('+2h', now)?.toISOString(), '2026-03-01T14:00:00.000Z');
  assert.equal(readMoment('2026-03-01T22:00Z', now)?.toISOString(), '2026-03-01T22:00:00.000Z');
  assert.equal(readMoment('2026-03-01T22:00+02:00', now)?.toISOString(), '2026-03-01T20:00:00.000Z');
  assert.equal(readMoment('2026-03-01 22:00', now)?.getHours(), 22);
  assert.equal(readMoment('22:15', now)?.getMinutes(), 15);
  for (const text of ['25:00', 'tomorrow', '2026-13-01T00:00Z', '2026-03-01', '+soon', '1772366400']) {
    assert.equal(readMoment(text, now), null, text);
  }
});
