import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decidableTeams, decide, seesNothing, visibility } from '../../src/policy/index.ts';
import { readables } from '../../src/policy/question.ts';
import { people } from './arbitraries.ts';
import { decideQuestion, engineer, loaded } from './shipped.ts';

const bundle = loaded();

test('an approver of two tenants sees the shares of both and nothing else', () => {
  const teams = [
    'customer-approvers:fabrikam',
    'customer-approvers:contoso',
    'customer-approvers:',
    'customer-approvers:contoso',
  ];
  const person = { ...engineer, teams, employer: 'customer' };
  for (const what of readables) {
    assert.deepEqual(visibility(bundle, person, what), { all: false, own: false, tenants: ['contoso', 'fabrikam'] });
  }
});

test('someone without a team sees nothing', () => {
  for (const what of readables) assert.ok(seesNothing(visibility(bundle, { ...engineer, teams: [] }, what)));
  assert.ok(!seesNothing(visibility(bundle, engineer, 'grants')));
});

test('nobody sees a share of a tenant for whom none of their teams speaks', () => {
  fc.assert(
    fc.property(people, fc.constantFrom(...readables), (person, what) => {
      for (const slug of visibility(bundle, person, what).tenants) {
        assert.ok(person.teams.includes(`customer-approvers:${slug}`));
        assert.equal(person.employer, 'customer');
      }
    }),
    { numRuns: 200 },
  );
});

test('someone may decide a stage exactly when it is for one of their decidable teams', () => {
  const teams = [
    'room-leads',
    'privacy-office',
    'customer-approvers:contoso',
    'customer-approvers:fabrikam',
    '__proto__',
  ];
  const from = fc.subarray(teams, { minLength: 1 });
  fc.assert(
    fc.property(people, from, (person, from) => {
      const decidable = decidableTeams(bundle, person);
      assert.ok(decidable.every((team) => person.teams.includes(team)));
      const { allowed } = decide(bundle, decideQuestion({ person, stage: { name: 'any', from } }));
      assert.equal(
        allowed,
        from.some((team) => decidable.includes(team)),
      );
    }),
    { numRuns: 200 },
  );
});
