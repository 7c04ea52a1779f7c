import { parseDuration } from '../domain/duration.ts';
import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../domain/ids.ts';
import { teamFor } from '../domain/profile.ts';
import type { Profile } from '../domain/profile.ts';
import type { Bundle } from './bundle.ts';
import type { PlacedCase, World, WrittenCase } from './case-file.ts';
import type { Mistake } from './mistake.ts';
import type { PersonFacts, Question, Readable, TenantFacts } from './question.ts';

/** One case, multiplied out: what is asked, and how it reads. */
export interface SingleCase {
  readonly placed: PlacedCase;
  /** As one reads it: `engineer may request diagnose`. */
  readonly title: string;
  readonly person: PersonFacts;
  readonly asked: { readonly question: Question } | { readonly sees: Readable } | 'decidable-teams';
}

type Expanded = { readonly cases: readonly SingleCase[] } | { readonly mistakes: readonly Mistake[] };

/** Multiplies out the lists of a case and puts the world's people and things in the places of their names. */
export function expand(bundle: Bundle, world: World, placed: PlacedCase): Expanded {
  const { written } = placed;
  const mistakes = [...shapeMistakes(placed), ...nameMistakes(bundle, world, placed)];
  if (mistakes.length > 0) return { mistakes };
  const cases = listOf(written.who).flatMap((who): SingleCase[] => {
    const person = personNamed(world, who);
    if (written.decidesFor) return [{ placed, person, title: `${who} decides for`, asked: 'decidable-teams' }];
    if (written.sees) {
      return listOf(written.sees).map((sees) => ({ placed, person, title: `${who} sees ${sees}`, asked: { sees } }));
    }
    return questions(bundle, world, written, person).map((question) => ({
      placed,
      person,
      title: [who, 'may', question.action, ...details(question, written)].join(' '),
      asked: { question },
    }));
  });
  return { cases };
}

function shapeMistakes({ written, mistake }: PlacedCase): Mistake[] {
  const kinds = [written.may, written.sees, written.decidesFor].filter((kind) => kind !== undefined);
  if (kinds.length !== 1) return [mistake('', 'a case has exactly one of `may`, `sees` and `decidesFor`')];
  if (written.decidesFor)
    return written.expect ? [mistake('expect', '`decidesFor` already says what is expected')] : [];
  const fits = written.may ? typeof written.expect === 'string' : Array.isArray(written.expect);
  if (fits) return [];
  const wanted = written.may ? '`"yes"` or `"no"`' : 'a list of `"all"`, `"own"` and `"tenant:SLUG"`';
  return [mistake('expect', `\`expect\` must be ${wanted}`)];
}

function nameMistakes(bundle: Bundle, world: World, { written, mistake }: PlacedCase): Mistake[] {
  const wrong: Mistake[] = [];
  const know = (member: string, names: readonly string[], isKnown: (name: string) => boolean) => {
    for (const name of names) if (!isKnown(name)) wrong.push(mistake(member, `there is no ${member} \`${name}\``));
  };
  const profiles = listOf(written.profile);
  know('who', listOf(written.who), (name) => Object.hasOwn(world.people, name));
  know('device', listOf(written.device), (name) => Object.hasOwn(world.devices, name));
  know('tenant', listOf(written.tenant), (name) => Object.hasOwn(world.tenants, name));
  know('profile', profiles, (name) => bundle.profiles.has(name));
  know('stage', listOf(written.stage), (name) =>
    profiles.every((profile) => bundle.profiles.get(profile)?.stages.some((stage) => stage.name === name) ?? true),
  );
  for (const action of listOf(written.may)) {
    const missing = needed(action).filter((member) => written[member] === undefined);
    if (missing.length > 0) wrong.push(mistake('may', `\`${action}\` needs \`${missing.join('` and `')}\``));
  }
  return wrong;
}

function needed(action: Question['action']): readonly (keyof WrittenCase)[] {
  if (isUse(action)) return ['profile', 'device'];
  if (action === 'decide') return ['profile', 'stage', 'tenant'];
  return action.includes('-') ? [] : ['profile', 'tenant'];
}

function isUse(action: Question['action']): action is 'request' | 'start' | 'mint' | 'extend' {
  return ['request', 'start', 'mint', 'extend'].includes(action);
}

function questions(bundle: Bundle, world: World, written: WrittenCase, person: PersonFacts): Question[] {
  const profiles = listOf(written.profile).map((name) => bundle.profiles.get(name)!);
  const now = Date.parse(world.now);
  return listOf(written.may).flatMap((action): Question[] => {
    if (isUse(action)) return profiles.map((profile) => useQuestion(action, profile, world, written, person));
    const tenant = written.tenant === undefined ? null : tenantNamed(world, written.tenant);
    if (action === 'manage-tenants' || action === 'enrol-devices' || action === 'unenrol-devices') {
      return [{ action, person, tenant, now }];
    }
    if (action === 'decide')
      return profiles.flatMap((profile) => decideQuestions(profile, tenant!, written, person, now));
    const isHolder = written.holder === 'self';
    const isSameHuman = isHolder || written.holder === 'alias';
    const subject = (action === 'cancel' ? 'req_case' : 'grt_case') as GrantId | RequestId;
    return profiles.map(({ name: profile }) => {
      return { action, person, subject, tenant: tenant!, profile, isHolder, isSameHuman, now };
    });
  });
}

function useQuestion(
  action: 'request' | 'start' | 'mint' | 'extend',
  profile: Profile,
  world: World,
  written: WrittenCase,
  person: PersonFacts,
): Question {
  const { tenant, facts = {}, inUse = false } = world.devices[written.device!]!;
  const device = { id: 'dev_case' as DeviceId, tenant: tenantNamed(world, tenant), facts, inUse };
  const duration = written.duration === undefined ? profile.longest : parseDuration(written.duration)!;
  const total = written.total === undefined ? duration : parseDuration(written.total)!;
  const reviewOverdue = written.reviewOverdue ?? false;
  return { action, person, profile, device, duration, total, reviewOverdue, now: Date.parse(world.now) };
}

function decideQuestions(
  profile: Profile,
  tenant: TenantFacts,
  written: WrittenCase,
  person: PersonFacts,
  now: number,
): Question[] {
  return profile.stages
    .filter(({ name }) => listOf(written.stage).includes(name))
    .map(({ name, from }) => ({
      action: 'decide',
      person,
      request: 'req_case' as RequestId,
      tenant,
      profile: profile.name,
      stage: { name, from: from.map((team) => teamFor(team, tenant.slug)) },
      isRequester: written.holder === 'self' || written.holder === 'alias',
      decidedOtherStage: written.decidedOtherStage ?? false,
      now,
    }));
}

function details(question: Question, written: WrittenCase): string[] {
  const { device, duration, total, reviewOverdue, tenant, holder, decidedOtherStage } = written;
  const profile = 'profile' in question ? question.profile : null;
  return [
    question.action === 'decide' ? `\`${question.stage.name}\` of` : '',
    typeof profile === 'string' ? profile : (profile?.name ?? ''),
    duration ? `for ${duration}` : '',
    total ? `in all ${total}` : '',
    device ? `on ${device}` : '',
    tenant ? `of ${tenant}` : '',
    reviewOverdue ? 'with a review overdue' : '',
    holder && holder !== 'other' ? `(its holder: ${holder})` : '',
    decidedOtherStage ? '(decided another stage)' : '',
  ].filter((detail) => detail !== '');
}

function personNamed(world: World, name: string): PersonFacts {
  const { teams, employer = null, region = null, trainingValidUntil = null } = world.people[name]!;
  return { id: `per_${name}` as PersonId, teams, employer, region, trainingValidUntil };
}

function tenantNamed(world: World, slug: string): TenantFacts {
  return { id: `ten_${slug}` as TenantId, slug, region: world.tenants[slug]!.region };
}

function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}
