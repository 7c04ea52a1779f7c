import type { PersonId } from '../domain/ids.ts';
import type { Commitment } from '../ledger/events.ts';

/** Whose things a list may hold. Applied in SQL: what someone may not see is never read. */
export interface Seen {
  readonly all: boolean;
  /** Things that belong to these tenants, by slug. */
  readonly tenants: readonly string[];
  /** Things of this person's own. */
  readonly own: PersonId | null;
}

/** A page of a list, newest first: at most `limit` things whose id is smaller than `before`. */
export interface Page<I extends string> {
  readonly before: I | null;
  readonly limit: number;
}

/** A commitment as PostgreSQL keeps it. */
export function bytes(commitment: Commitment | null): Buffer | null {
  return commitment === null ? null : Buffer.from(commitment, 'base64url');
}

/** The part of a `WHERE` that keeps to what may be seen; values are `$n` onwards. */
export function seenCondition(alias: string, seen: Seen, owner: string, first: number): [string, unknown[]] {
  if (seen.all) return ['true', []];
  return [
    `(${alias}.${owner} = $${first} OR ${alias}.tenant IN (SELECT id FROM tenants WHERE slug = ANY ($${first + 1})))`,
    [seen.own, seen.tenants],
  ];
}

/**
 * Builds and runs the query of a page. Conditions depend on what is asked, so each combination is a statement of its
 * own, with a name of its own and a plan of its own.
 */
export async function page<T, S extends string, I extends string>(
  wanted: Page<I>,
  alias: string,
  filter: { readonly seen: Seen; readonly states: readonly S[]; readonly tenant: string | null },
  stateConditions: Record<S, string>,
  owner: string,
  run: (name: string, where: string, values: unknown[]) => Promise<T[]>,
  more: readonly [name: string, condition: string, value: unknown][] = [],
): Promise<T[]> {
  const values: unknown[] = [wanted.limit];
  const conditions: string[] = [];
  const names: string[] = [];
  const add = (name: string, condition: (place: string) => string, value: unknown): void => {
    values.push(value);
    names.push(name);
    conditions.push(condition(`$${values.length}`));
  };
  if (wanted.before) add('before', (place) => `${alias}.id < ${place}`, wanted.before);
  if (filter.tenant) {
    add('tenant', (place) => `${alias}.tenant = (SELECT id FROM tenants WHERE ${place} IN (id, slug))`, filter.tenant);
  }
  for (const [name, condition, value] of more) add(name, (place) => condition.replaceAll('$', place), value);
  const states = [...new Set(filter.states)].sort();
  if (states.length > 0) {
    names.push(...states);
    conditions.push(`(${states.map((state) => stateConditions[state]).join(' OR ')})`);
  }
  const [seen, seenValues] = seenCondition(alias, filter.seen, owner, values.length + 1);
  names.push(filter.seen.all ? 'all' : 'seen');
  conditions.push(seen);
  values.push(...seenValues);
  return run(names.join('-'), `WHERE ${conditions.join(' AND ')} ORDER BY ${alias}.id DESC LIMIT $1`, values);
}
