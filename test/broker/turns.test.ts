import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { createTurns } from '../../src/broker/turns.ts';

const [round, places] = [15_000, 60];
const step = round / places;

describe('turns', () => {
  test('come to everyone once a round, also after others came and went', () => {
    const change = fc.record({ join: fc.boolean(), pick: fc.nat(), wait: fc.integer({ min: 0, max: 2_000 }) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 120 }), (changes) => {
        let now = 5_000;
        const turns = createTurns<object>(round, places, now);
        const members = new Map<object, { place: number; last: number }>();
        const take = (): void => {
          for (const item of turns.due(now)) {
            const member = members.get(item);
            assert.ok(member, 'somebody who has left had a turn');
            member.last = now;
          }
          for (const { last } of members.values()) assert.ok(now - last <= round + 2_000 + step, `${now - last} ms`);
        };
        for (const { join, pick, wait } of changes) {
          if (join) {
            const item = {};
            members.set(item, { place: turns.join(item), last: now });
          } else if (members.size > 0) {
            const [item, { place }] = [...members][pick % members.size]!;
            turns.leave(item, place);
            members.delete(item);
          }
          now += wait;
          take();
        }
      }),
      { numRuns: 200 },
    );
  });

  test('of a crowd that came at once lie evenly over the round', () => {
    const turns = createTurns<number>(round, places, 0);
    for (let item = 0; item < 10_000; item++) turns.join(item);
    const perStep = Array.from({ length: places }, (_, number) => turns.due((number + 1) * step).length);
    assert.ok(Math.max(...perStep) - Math.min(...perStep) <= 1, perStep.join(', '));
    assert.equal(
      perStep.reduce((sum, each) => sum + each),
      10_000,
    );
  });

  test('missed by a process that stood still are made good, once', () => {
    const turns = createTurns<number>(round, places, 0);
    for (let item = 0; item < 100; item++) turns.join(item);
    assert.equal(turns.due(100 * round).length, 100);
    assert.equal(turns.due(100 * round).length, 0);
    assert.equal(turns.due(101 * round).length, 100);
  });

  test('do not go back with a clock that does', () => {
    const turns = createTurns<number>(round, places, 0);
    turns.join(1);
    assert.equal(turns.due(round).length, 1);
    assert.equal(turns.due(0).length, 0);
  });
});
