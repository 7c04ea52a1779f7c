import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { isWorthPolling, pauseAfter, type Loss } from '../../src/agent/reconnect.ts';

const ended: Loss = { heard: true, status: null, open: true, comeBack: null };
const unreachable: Loss = { heard: false, status: null, open: false, comeBack: null };
const refused = (status: number, comeBack: number | null = null): Loss => ({ ...unreachable, status, comeBack });
const span = (loss: Loss, failures: number): readonly [number, number] => [
  pauseAfter(loss, failures, () => 0),
  pauseAfter(loss, failures, () => 1),
];

describe('coming back to the broker', () => {
  it('takes a random moment within a second after a stream that worked, or within what the broker named', () => {
    assert.deepEqual(span(ended, 0), [50, 1_050]);
    assert.deepEqual(span({ ...ended, comeBack: 500 }, 0), [50, 550]);
  });

  it('waits longer each time there is none, up to ten seconds', () => {
    const longest = [1, 2, 3, 4, 5, 20].map((failures) => span(unreachable, failures)[1]);
    assert.deepEqual(longest, [1_100, 2_100, 4_100, 8_100, 10_100, 10_100]);
  });

  it('keeps to `Retry-After`, and goes beyond it at random', () => {
    assert.deepEqual(span(refused(503, 4_000), 1), [4_000, 6_000]);
    assert.deepEqual(span(refused(429, 1_000), 1), [1_000, 2_000]);
  });

  it('is never put off for longer than its last list could live on, whatever it is told', () => {
    const asks = fc.record({
      heard: fc.boolean(),
      status: fc.option(fc.constantFrom(429, 500, 503)),
      open: fc.boolean(),
      comeBack: fc.option(fc.nat()),
    });
    fc.assert(
      fc.property(asks, fc.nat(50), fc.double({ min: 0, max: 1, noNaN: true }), (loss, failures, random) => {
        const pause = pauseAfter(loss, failures, () => random);
        assert.ok(pause >= 50 && pause <= 30_000, `${pause} ms`);
      }),
    );
  });

  it('spreads a fleet: of a thousand that were told the same second, no tenth of it has a fifth of them', () => {
    for (const loss of [ended, { ...ended, comeBack: 500 }, refused(503, 2_000)]) {
      const pauses = Array.from({ length: 1_000 }, () => pauseAfter(loss, 1));
      const [from, until] = span(loss, 1);
      const tenths = Array.from({ length: 10 }, (_, tenth) => {
        const start = from + (tenth * (until - from)) / 10;
        return pauses.filter((pause) => pause >= start && pause < start + (until - from) / 10).length;
      });
      assert.ok(Math.max(...tenths) < 200, tenths.join(', '));
    }
  });

  it('asks for the list by itself where something answers but no stream gets through', () => {
    assert.ok(isWorthPolling(refused(404), 1));
    assert.ok(isWorthPolling({ ...unreachable, open: true }, 1), 'a stream that says nothing');
    assert.ok(isWorthPolling(refused(503), 2), 'a proxy that cannot stream says 503 for ever');
    assert.ok(!isWorthPolling(refused(503), 1));
    assert.ok(!isWorthPolling(refused(429, 2_000), 1));
    assert.ok(!isWorthPolling(unreachable, 5));
    assert.ok(!isWorthPolling(ended, 0));
  });
});
