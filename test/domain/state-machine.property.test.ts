import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { openStages, type Verdict } from '../../src/domain/request.ts';
import { House, bounds, devices, people, scopes, type Command } from './state-machine-house.ts';
import * as model from './state-machine-model.ts';

/**
 * INVARIANTS that no sequence of commands may break, checked after every step by `holds`:
 * 1. granted only when each stage has as many approvals as it needs, by as many humans, the requester's not among them;
 * 2. what is granted is never wider than what was asked, in duration, scopes or devices, and never nothing;
 * 3. denied, cancelled, lapsed, granted, expired, revoked and released are final;
 * 4. a request whose time is up is never granted;
 * 5. a grant never begins before its last approval nor before the time asked for;
 * 6. an end only moves away, and never past `longest` after the decision nor `longestTotal` after the beginning.
 */

interface Seen {
  readonly requests: string[];
  readonly grants: { readonly state: string; readonly expiresAt: number }[];
}

function look(house: House): Seen {
  return {
    requests: house.requests.map((pair) => house.requestNow(pair).state),
    grants: house.grants.map((pair) => ({
      state: house.grantNow(pair).state,
      expiresAt: pair.facts.expiresAt.getTime(),
    })),
  };
}

function holds(house: House, before: Seen, now: Seen): void {
  house.requests.forEach((pair, index) => {
    assert.equal(now.requests[index], model.requestStateOf(pair.model, house.now));
    const was = before.requests[index] ?? 'pending';
    if (was !== 'pending') assert.equal(now.requests[index], was, 'a decided request changed');
    if (now.requests[index] !== 'granted') return;
    const { decisions, stages, requester } = pair.request;
    const humans = decisions.map(({ by }) => model.humanOf(by));
    assert.equal(new Set(humans).size, humans.length, 'one human counted twice');
    assert.ok(!humans.includes(model.humanOf(requester)), 'the requester counted');
    assert.equal(
      decisions.length,
      stages.reduce((sum, { needs }) => sum + needs, 0),
    );
    assert.deepEqual(openStages(pair.request), []);
    assert.ok(
      decisions.every(({ at }) => at < pair.request.lapsesAt),
      'decided after it lapsed',
    );
  });
  house.grants.forEach((pair, index) => {
    const { state, expiresAt } = now.grants[index]!;
    assert.equal(state, model.grantStateOf(pair.model, house.now));
    assert.equal(expiresAt, pair.model.expiresAt);
    const was = before.grants[index];
    if (was && !['scheduled', 'active'].includes(was.state))
      assert.deepEqual(now.grants[index], was, 'ended, and changed');
    if (was) assert.ok(expiresAt >= was.expiresAt, 'shortened');
    if (was && expiresAt > was.expiresAt) {
      assert.ok(expiresAt <= house.now + bounds.longest * 1000, 'past `longest` after the decision');
      assert.ok(expiresAt <= pair.facts.startsAt.getTime() + bounds.longestTotal * 1000, 'past `longestTotal`');
    }
    const { asked, startsAt } = pair.from.model;
    assert.ok(pair.facts.scopes.length > 0 && pair.facts.scopes.every((scope) => asked.scopes.includes(scope)));
    assert.ok(pair.facts.devices.length > 0 && pair.facts.devices.every((device) => asked.devices.includes(device)));
    if (!was) {
      const begins = pair.facts.startsAt.getTime();
      assert.ok(expiresAt - begins <= asked.duration * 1000, 'longer than asked');
      assert.ok(begins >= house.now && begins >= (startsAt ?? 0), 'begins too early');
    }
    assert.deepEqual([...pair.facts.scopes], pair.model.terms.scopes);
    assert.deepEqual([...pair.facts.devices], pair.model.terms.devices);
  });
}

const who = fc.constantFrom(...people);
const index = fc.nat(2);
const stages = fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 3 });
/** Mostly a part of the list; now and then something that does not belong to it. */
const some = (all: readonly string[]): fc.Arbitrary<string[]> =>
  fc.oneof(
    { weight: 9, arbitrary: fc.subarray([...all], { minLength: 1 }) },
    { weight: 1, arbitrary: fc.constant<string[]>([...all, 'foreign']) },
  );
const narrow: fc.Arbitrary<Partial<model.ModelTerms> | null> = fc.option(
  fc.record(
    {
      duration: fc.integer({ min: 1, max: 120 }),
      scopes: some(scopes),
      devices: some(devices),
    },
    { requiredKeys: [] },
  ),
  { freq: 2 },
);
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      who,
      duration: fc.integer({ min: 1, max: 100 }),
      stages,
      inSeconds: fc.option(fc.nat(60)),
      lapse: fc.integer({ min: 1, max: 90 }),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('decide' as const),
      who,
      request: index,
      verdict: fc.constantFrom<Verdict>(...Array<Verdict>(9).fill('approve'), 'deny'),
      stage: fc.nat(2),
      narrow,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('extend' as const),
      grant: index,
      duration: fc.integer({ min: 1, max: 120 }),
      stages: fc.oneof(fc.constant<number[]>([]), stages),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), milliseconds: fc.nat(40_000) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'wait-for-next' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), request: index }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('revoke' as const, 'release' as const), grant: index, who }),
  },
);

test('no sequence of commands by any people reaches a state that the rules forbid', () => {
  const reached = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(command, { minLength: 5, maxLength: 60, size: 'max' }), (commands) => {
      const house = new House();
      let before = look(house);
      for (const each of commands) {
        house.run(each);
        const now = look(house);
        holds(house, before, now);
        for (const state of [...now.requests, ...now.grants.map(({ state }) => state)]) {
          reached.set(state, (reached.get(state) ?? 0) + 1);
        }
        if (now.grants.some(({ expiresAt }, i) => expiresAt > (before.grants[i]?.expiresAt ?? Infinity))) {
          reached.set('extended', (reached.get('extended') ?? 0) + 1);
        }
        before = now;
      }
    }),
    { numRuns: 3_000 },
  );
  // A run that never gets anywhere would hold every invariant.
  const states = ['pending', 'granted', 'denied', 'cancelled', 'lapsed'];
  for (const state of [...states, 'scheduled', 'active', 'expired', 'revoked', 'released', 'extended']) {
    assert.ok((reached.get(state) ?? 0) > 100, `\`${state}\` was hardly ever reached`);
  }
});
