import type { Bundle } from './bundle.ts';
import { ask } from './engine.ts';
import { decideForInputs, seeInputs, tenantOfTeam } from './inputs.ts';
import type { Reach } from './inputs.ts';
import type { PersonFacts, Readable, Visibility } from './question.ts';

/**
 * How much of a kind of thing someone may see. Asks once for everything, once for their own, and once for each tenant
 * that one of their teams speaks for: never once a row. Depends on the bundle and the person alone, so it may be kept
 * as long as both stay the same.
 */
export function visibility(bundle: Bundle, person: PersonFacts, what: Readable): Visibility {
  return look(bundle, person, what).visibility;
}

/** The same, with the ids of the policies that decided. */
export function look(
  bundle: Bundle,
  person: PersonFacts,
  what: Readable,
): { readonly visibility: Visibility; readonly policies: readonly string[] } {
  const policies = new Set<string>();
  const may = (reach: Reach): boolean => {
    const answer = ask(bundle.engine, seeInputs(bundle.engine, person, what, reach));
    answer.determining.forEach((policy) => policies.add(policy));
    return answer.allowed;
  };
  const slugs = [...new Set(person.teams.map(tenantOfTeam).filter((slug) => slug !== null))];
  const all = may('all');
  const own = may('own');
  const tenants = slugs.filter((tenant) => may({ tenant })).sort();
  return { visibility: { all, tenants, own }, policies: [...policies] };
}

/** True when someone has no part at all in a kind of thing. */
export function seesNothing({ all, own, tenants }: Visibility): boolean {
  return !all && !own && tenants.length === 0;
}

/** Those of someone's teams in whose name they may decide stages, sorted; a stage needs one of them in its `from`. */
export function decidableTeams(bundle: Bundle, person: PersonFacts): string[] {
  const may = (team: string) => ask(bundle.engine, decideForInputs(bundle.engine, person, team)).allowed;
  return [...new Set(person.teams)].filter(may).sort();
}
