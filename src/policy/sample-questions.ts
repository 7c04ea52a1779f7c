import { preparsePolicySet, preparseSchema, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../domain/ids.ts';
import type { Profile } from '../domain/profile.ts';
import type { Engine, FactType, Inputs } from './engine.ts';
import { decideForInputs, inputsFor, seeInputs } from './inputs.ts';
import type { Mistake } from './mistake.ts';
import { readables } from './question.ts';
import type { PersonFacts, Question, TenantFacts } from './question.ts';
import type { PolicySchema } from './schema-file.ts';

const person: PersonFacts = {
  id: 'per_sample' as PersonId,
  teams: ['room-ops'],
  employer: 'provider',
  region: 'EU',
  trainingValidUntil: '2026-01-01T00:00:00Z',
};
const tenant: TenantFacts = { id: 'ten_sample' as TenantId, slug: 'sample', region: 'EU' };
const profile: Profile = {
  name: 'sample',
  title: 'Sample',
  scopes: ['device.inspect'],
  dataClasses: ['System Metadata'],
  stages: [{ name: 'lead', from: ['room-leads'], needs: 1 }],
  longest: 3600,
  longestTotal: 7200,
  lapse: 3600,
  extendable: true,
  reviewWithin: 86_400,
  tells: [],
};
const sampleFacts: Readonly<Record<FactType, unknown>> = { String: 'text', Long: 1, Bool: true };

/**
 * Asks one question of every kind against the schema, so that a schema that has lost what Latchkey supplies, or wants
 * what it does not, is refused when it is loaded and not in the first request.
 */
export function questionMistakes(schema: PolicySchema, engine: Engine): Mistake[] {
  // One name each, taken anew by every load: the engine never lets go of a name.
  const names = { preparsedSchemaName: 'sample-questions', preparsedPolicySetId: 'sample-questions' };
  preparseSchema(names.preparsedSchemaName, schema.text);
  preparsePolicySet(names.preparsedPolicySetId, { staticPolicies: '' });
  return sampleInputs(engine).flatMap((inputs) => {
    const answer = statefulIsAuthorized({ ...inputs, ...names, validateRequest: true });
    if (answer.type === 'success') return [];
    const name = inputs.action.id;
    return answer.errors.map(({ message }) =>
      schema.mistake(
        new RegExp(`action[^;{]*\\b${name}\\b`),
        `the schema does not fit what Latchkey asks about \`${name}\`: ${message}`,
      ),
    );
  });
}

function sampleInputs(engine: Engine): Inputs[] {
  const { teams } = person;
  const reaches = ['all', 'own', { tenant: 'sample' }] as const;
  return [
    ...sampleQuestions(engine).map((question) => inputsFor(engine, question)),
    ...readables.flatMap((what) => reaches.map((reach) => seeInputs(engine, person, what, reach))),
    ...teams.map((team) => decideForInputs(engine, person, team)),
  ];
}

function sampleQuestions(engine: Engine): Question[] {
  const now = 0;
  const facts = Object.fromEntries([...engine.facts].map(([name, type]) => [name, sampleFacts[type]]));
  const device = { id: 'dev_sample' as DeviceId, tenant, facts, inUse: false };
  const use = { person, profile, device, duration: 60, total: 60, reviewOverdue: false, now };
  const grant = {
    person,
    subject: 'grt_sample' as GrantId,
    tenant,
    profile: profile.name,
    isHolder: false,
    isSameHuman: false,
    now,
  };
  return [
    ...(['request', 'start', 'mint', 'extend'] as const).map((action) => ({ action, ...use })),
    {
      action: 'decide',
      person,
      request: 'req_sample' as RequestId,
      tenant,
      profile: profile.name,
      stage: { name: 'lead', from: ['room-leads', 'customer-approvers:sample'] },
      isRequester: false,
      decidedOtherStage: false,
      now,
    },
    ...(['revoke', 'review', 'release', 'cancel'] as const).map((action) => ({ action, ...grant })),
    ...(['manage-tenants', 'enrol-devices', 'unenrol-devices'] as const).flatMap((action) =>
      [tenant, null].map((tenant) => ({ action, person, tenant, now })),
    ),
  ];
}
