import { createHash } from 'node:crypto';
import { newId, type PersonId } from '../domain/ids.ts';
import { decidableTeams, visibility, type Bundle } from '../policy/index.ts';
import type { PersonFacts, Readable, Visibility } from '../policy/question.ts';
import { findPerson, upsertPerson, type PersonClaims } from '../store/persons.ts';
import type { Runner } from '../store/transaction.ts';
import type { BrokerContext, Caller } from './context.ts';

interface Known {
  readonly id: PersonId;
  readonly claims: string;
  readonly until: number;
}

const rememberedFor = 60_000;
const remembered = 20_000;

/**
 * Finds who a verified token speaks for, writing down what it says when that is news. Remembers people for a minute,
 * so that a busy person costs the database nothing.
 */
export function createPeople(context: Pick<BrokerContext, 'pool'>): {
  recognize(claims: PersonClaims): Promise<Caller>;
} {
  const known = new Map<string, Known>();
  return {
    async recognize(claims) {
      const key = `${claims.issuer}\n${claims.subject}`;
      const said = createHash('sha256')
        .update(JSON.stringify({ ...claims, claimsAt: null }))
        .digest('base64');
      const now = Date.now();
      let person = known.get(key);
      if (!person || person.claims !== said || person.until < now) {
        const id = await upsertPerson(context.pool, newId('person', now), claims);
        person = { id, claims: said, until: now + rememberedFor };
        known.delete(key);
        known.set(key, person);
        if (known.size > remembered) known.delete(known.keys().next().value!);
      }
      const { teams, employer, region, trainingValidUntil } = claims;
      return { id: person.id, teams, employer, region, trainingValidUntil };
    },
  };
}

/** What was last said of a person, for decisions that are made without them. */
export async function lastKnown(runner: Runner, id: PersonId): Promise<PersonFacts> {
  const person = await findPerson(runner, id);
  if (!person) return { id, teams: [], employer: null, region: null, trainingValidUntil: null };
  const { teams, employer, region, training_valid_until } = person;
  return { id, teams, employer, region, trainingValidUntil: training_valid_until?.toISOString() ?? null };
}

const seen = new WeakMap<Bundle, Map<string, Visibility | string[]>>();
const seenAtMost = 10_000;

function keep<T extends Visibility | string[]>(bundle: Bundle, person: PersonFacts, what: string, ask: () => T): T {
  let kept = seen.get(bundle);
  if (!kept) seen.set(bundle, (kept = new Map()));
  const key = JSON.stringify([
    what,
    person.id,
    person.teams,
    person.employer,
    person.region,
    person.trainingValidUntil,
  ]);
  let answer = kept.get(key) as T | undefined;
  if (!answer) {
    answer = ask();
    kept.set(key, answer);
    if (kept.size > seenAtMost) kept.delete(kept.keys().next().value!);
  }
  return answer;
}

/** How much of a kind of thing a person may see; the same bundle and the same facts always give the same answer. */
export function seenBy(context: Pick<BrokerContext, 'policy'>, person: PersonFacts, what: Readable): Visibility {
  const bundle = context.policy();
  return keep(bundle, person, what, () => visibility(bundle, person, what));
}

/** The teams in whose name a person may decide stages; none when no profile asks any of them. */
export function decidingTeams(context: Pick<BrokerContext, 'policy'>, person: PersonFacts): readonly string[] {
  const bundle = context.policy();
  return keep(bundle, person, 'decide', () => {
    const teams = decidableTeams(bundle, person);
    const asked = [...bundle.profiles.values()].flatMap(({ stages }) => stages.flatMap(({ from }) => from));
    return teams.some((team) => asked.some((written) => isTeamOf(written, team))) ? teams : [];
  });
}

/** Whether a team is one that a stage means, with the slug of some tenant in place. */
function isTeamOf(written: string, team: string): boolean {
  const [before = '', after] = written.split('{tenant}', 2);
  if (after === undefined) return written === team;
  return team.length > before.length + after.length && team.startsWith(before) && team.endsWith(after);
}
