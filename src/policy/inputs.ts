import type { CedarValueJson, EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import type { Profile } from '../domain/profile.ts';
import { teamFor } from '../domain/profile.ts';
import { unreachable } from '../domain/unreachable.ts';
import type { Engine, Inputs } from './engine.ts';
import type {
  AdministerQuestion,
  DecideQuestion,
  GrantQuestion,
  PersonFacts,
  Question,
  Readable,
  TenantFacts,
  UseQuestion,
} from './question.ts';
import { knownFacts, plainText, timestamp } from './values.ts';

type Attributes = Record<string, CedarValueJson>;

/** The team whose members speak for a tenant; `{tenant}` as in profiles. */
const approversTeam = 'customer-approvers:{tenant}';
const approversPrefix = teamFor(approversTeam, '');

/** What the engine is asked for a question. Throws only for a question that is not of its type. */
export function inputsFor(engine: Engine, question: Question): Inputs {
  switch (question.action) {
    case 'request':
    case 'start':
    case 'mint':
    case 'extend':
      return useInputs(engine, question);
    case 'decide':
      return decideInputs(engine, question);
    case 'revoke':
    case 'review':
    case 'release':
    case 'cancel':
      return grantInputs(engine, question);
    case 'manage-tenants':
    case 'enrol-devices':
    case 'unenrol-devices':
      return administerInputs(engine, question);
    default:
      return unreachable(question);
  }
}

/** May this person see this much of a kind of thing: everything, their own, or one tenant's (by its slug). */
export function seeInputs(engine: Engine, person: PersonFacts, what: Readable, reach: Reach): Inputs {
  const action = `see-${what}`;
  if (typeof reach === 'string') return inputs(engine, person, action, uid('Reach', reach), {});
  const share = uid('TenantShare', reach.tenant);
  const attrs = { slug: reach.tenant, approvers: approversOf(reach.tenant) };
  return inputs(engine, person, action, share, {}, [{ uid: share, attrs, parents: [] }]);
}

export type Reach = 'all' | 'own' | { readonly tenant: string };

/** May this person decide stages in the name of this team. */
export function decideForInputs(engine: Engine, person: PersonFacts, team: string): Inputs {
  return inputs(engine, person, 'decide-for', uid('Team', team), stageTeams([team]));
}

/** The tenant's slug in the name of a team that speaks for a tenant; null for other teams. */
export function tenantOfTeam(team: string): string | null {
  return team.startsWith(approversPrefix) && team.length > approversPrefix.length
    ? team.slice(approversPrefix.length)
    : null;
}

function useInputs(engine: Engine, question: UseQuestion): Inputs {
  const { action, person, device, duration, total, reviewOverdue } = question;
  const context = {
    now: timestamp(question.now),
    tenant: tenantRecord(device.tenant),
    device: { inUse: device.inUse, facts: knownFacts(engine.facts, device.facts) },
    profile: profileRecord(question.profile),
    duration,
    total,
    reviewOverdue,
  };
  return inputs(engine, person, action, uid('Device', device.id), context);
}

function decideInputs(engine: Engine, question: DecideQuestion): Inputs {
  const { action, person, stage, isRequester, decidedOtherStage } = question;
  const context = {
    ...subjectContext(question),
    stage: stage.name,
    ...stageTeams(stage.from),
    isRequester,
    decidedOtherStage,
  };
  return inputs(engine, person, action, uid('Request', question.request), context);
}

function grantInputs(engine: Engine, question: GrantQuestion): Inputs {
  const { action, person, isHolder, isSameHuman } = question;
  const resource = uid(action === 'cancel' ? 'Request' : 'Grant', question.subject);
  return inputs(engine, person, action, resource, { ...subjectContext(question), isHolder, isSameHuman });
}

function subjectContext({ now, tenant, profile }: DecideQuestion | GrantQuestion): Attributes {
  return { now: timestamp(now), tenant: tenantRecord(tenant), profile: { name: profile } };
}

function administerInputs(engine: Engine, { action, person, tenant, now }: AdministerQuestion): Inputs {
  if (!tenant) return inputs(engine, person, action, uid('Reach', 'all'), { now: timestamp(now) });
  // A tenant is named by its slug, which never changes and is what people write in policies.
  const context = { now: timestamp(now), tenant: tenantRecord(tenant) };
  return inputs(engine, person, action, uid('Tenant', tenant.slug), context);
}

function inputs(
  engine: Engine,
  person: PersonFacts,
  action: string,
  resource: TypeAndId,
  context: Attributes,
  entities: readonly EntityJson[] = [],
): Inputs {
  const groups = engine.actions.get(action) ?? [];
  const parents = groups.map((group) => uid('Action', group));
  return {
    principal: uid('Person', person.id),
    action: uid('Action', action),
    resource,
    context,
    entities: [
      personEntity(person),
      ...entities,
      // The engine is asked without the schema, so it learns an action's groups only from here.
      ...(parents.length > 0 ? [{ uid: uid('Action', action), attrs: {}, parents }] : []),
    ],
  };
}

function personEntity(person: PersonFacts): EntityJson {
  const known = {
    employer: plainText(person.employer),
    region: plainText(person.region),
    trainingValidUntil: person.trainingValidUntil === null ? null : timestamp(person.trainingValidUntil),
  };
  const teams = new Set(person.teams.map(plainText).filter((team) => team !== null));
  return {
    uid: uid('Person', person.id),
    attrs: Object.fromEntries(Object.entries(known).filter(([, value]) => value !== null)),
    parents: [...teams].map((team) => uid('Team', team)),
  };
}

function tenantRecord({ slug, region }: TenantFacts): Attributes {
  return { slug, region, approvers: approversOf(slug) };
}

function profileRecord(profile: Profile): Attributes {
  return {
    name: profile.name,
    scopes: [...profile.scopes],
    dataClasses: [...profile.dataClasses],
    longest: profile.longest,
    longestTotal: profile.longestTotal,
    extendable: profile.extendable,
    staged: profile.stages.length > 0,
    reviewed: profile.reviewWithin !== null,
  };
}

/** A stage's teams, those who speak for a tenant apart from the others: the employer decides which ones count. */
function stageTeams(from: readonly string[]): Attributes {
  const refs = (teams: readonly string[]) => teams.map((team) => entityRef(uid('Team', team)));
  return {
    customerTeams: refs(from.filter((team) => tenantOfTeam(team) !== null)),
    otherTeams: refs(from.filter((team) => tenantOfTeam(team) === null)),
  };
}

function approversOf(slug: string): CedarValueJson {
  return entityRef(uid('Team', teamFor(approversTeam, slug)));
}

function entityRef(to: TypeAndId): CedarValueJson {
  return { __entity: to };
}

function uid(type: string, id: string): TypeAndId {
  return { type, id };
}
