import * as fc from 'fast-check';
import type { DeviceId, PersonId } from '../../src/domain/ids.ts';
import type { Bundle, PersonFacts, Question } from '../../src/policy/index.ts';
import { contoso, now } from './shipped.ts';

const odd = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    '',
    '\0',
    '\ud800',
    '"',
    '::',
    'Team::"room-leads"',
    '{tenant}',
    '__entity',
  ),
  fc.string({ unit: 'binary' }),
  fc.string({ minLength: 1100, maxLength: 1200 }),
);

const team = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('room-ops', 'room-leads', 'privacy-office', 'operators', 'auditors') },
  { weight: 2, arbitrary: fc.constantFrom('customer-approvers:contoso', 'customer-approvers:fabrikam') },
  { weight: 1, arbitrary: odd },
);

export const people: fc.Arbitrary<PersonFacts> = fc.record({
  id: fc.oneof(fc.constant('per_1'), odd).map((id) => id as PersonId),
  teams: fc.array(team, { maxLength: 4 }),
  employer: fc.oneof(fc.constantFrom('provider', 'subcontractor', 'customer', null), odd),
  region: fc.oneof(fc.constantFrom('EU', 'APAC', null), odd),
  trainingValidUntil: fc.oneof(
    fc.constantFrom('2027-01-01T00:00:00Z', '2025-01-01T00:00:00+02:00', '9999-12-31T23:59:59-23:59', 'soon', null),
    odd,
  ),
});

const facts = fc.oneof(
  fc.dictionary(fc.oneof(fc.constantFrom('serial', 'make', 'model', 'hostname'), odd), fc.anything()),
  fc.dictionary(fc.constantFrom('serial', 'hostname', '__proto__'), fc.oneof(odd, fc.double(), fc.constant(null))),
  fc.constant({ serial: 'x'.repeat(1_000_000), nested: { deep: [[[[]]]] } }),
);

const moment = fc.oneof(fc.constant(now), fc.double(), fc.maxSafeInteger());
const seconds = fc.oneof(fc.constantFrom(1, 1800, 3600, 3601, 86_400), fc.double(), fc.maxSafeInteger());

/** Questions of every kind about random people and odd things. */
export function questions(bundle: Bundle): fc.Arbitrary<Question> {
  const profile = fc.constantFrom(...bundle.profiles.values());
  const flag = fc.boolean();
  const tenant = fc.constantFrom(contoso, { ...contoso, slug: 'fabrikam', region: 'APAC' });
  const use = fc.record({
    action: fc.constantFrom('request', 'start', 'mint', 'extend'),
    person: people,
    profile,
    device: fc.record({ id: odd.map((id) => id as DeviceId), tenant, facts, inUse: flag }),
    duration: seconds,
    total: seconds,
    reviewOverdue: flag,
    now: moment,
  });
  const decide = fc.record({
    action: fc.constant('decide'),
    person: people,
    request: odd,
    tenant,
    profile: fc.oneof(fc.constant('remote-admin'), odd),
    stage: fc.record({ name: odd, from: fc.array(team, { maxLength: 3 }) }),
    isRequester: flag,
    decidedOtherStage: flag,
    now: moment,
  });
  const grant = fc.record({
    action: fc.constantFrom('revoke', 'review', 'release', 'cancel'),
    person: people,
    subject: odd,
    tenant,
    profile: odd,
    isHolder: flag,
    isSameHuman: flag,
    now: moment,
  });
  const administer = fc.record({
    action: fc.constantFrom('manage-tenants', 'enrol-devices', 'unenrol-devices'),
    person: people,
    tenant: fc.option(tenant),
    now: moment,
  });
  return fc.oneof(use, decide, grant, administer) as fc.Arbitrary<Question>;
}
