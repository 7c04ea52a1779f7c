import type { PersonId } from '../domain/ids.ts';
import type { Commitment } from '../ledger/events.ts';
import { nowSql } from './transaction.ts';

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

/** One way to find rows of a list: what an index can find in order, so that nothing is read beyond the page. */
export interface Way {
  /** A query of `id`s, such as of tenants: the way is gone once for each, as `each.id`. */
  readonly each?: string;
  /** Conditions on the row, `x`. */
  readonly where: readonly string[];
}

/** Gathers the values of a statement, and gives each its place. */
export class Values {
  readonly list: unknown[] = [];
  add(value: unknown): string {
    return `$${this.list.push(value)}`;
  }
}

/**
 * The rows of a table that any of these ways finds, newest first. No row may be found by two of them. A condition that
 * joined the ways by `OR` would be the same list, read from the whole table.
 */
export function newest(table: string, ways: readonly Way[], limit: string): string {
  const order = `ORDER BY id DESC LIMIT ${limit}`;
  const found = ways.map(({ each, where }) => {
    const one = `SELECT x.* FROM ${table} x WHERE ${where.length > 0 ? where.join(' AND ') : 'true'} ${order}`;
    return each ? `(SELECT y.* FROM (${each}) each CROSS JOIN LATERAL (${one}) y ${order})` : `(${one})`;
  });
  return `SELECT * FROM (${found.join(' UNION ALL ')}) found ${order}`;
}

/** The clock of a statement: read once, so that what is filtered by it and what is made of the rows agree. */
export const withClock = `WITH clock AS MATERIALIZED (SELECT ${nowSql} AS now)`;
export const clockSql = '(SELECT now FROM clock)';

/** A table whose rows belong to a tenant and to a person, and are in one of several states. */
export interface Listed<S extends string> {
  readonly table: string;
  /** The column of the person. */
  readonly owner: string;
  /** For each state its conditions, of which a row fulfils at most one. */
  readonly states: Readonly<Record<S, readonly string[]>>;
}

/** The rows of a page, as the source of a `FROM` below `withClock`. */
export function pageOf<S extends string, I extends string>(
  { table, owner, states }: Listed<S>,
  filter: { readonly seen: Seen; readonly states: readonly S[]; readonly tenant: string | null },
  wanted: Page<I>,
  more: readonly ((values: Values) => string)[] = [],
): { readonly source: string; readonly values: Values } {
  const values = new Values();
  const limit = values.add(wanted.limit);
  const common = more.map((condition) => condition(values));
  if (wanted.before) common.push(`x.id < ${values.add(wanted.before)}`);
  const { seen, tenant } = filter;
  const named = tenant === null ? [] : [`${values.add(tenant)} IN (id, slug)`];
  const ofTenants = (conditions: readonly string[], where: readonly string[]): Way => ({
    each: `SELECT id FROM tenants WHERE ${conditions.join(' AND ')}`,
    where: ['x.tenant = each.id', ...where],
  });
  const ways: Way[] = [];
  if (seen.all) ways.push(named.length > 0 ? ofTenants(named, []) : { where: [] });
  else {
    const own = seen.own && values.add(seen.own);
    const ofNamed = named.map((condition) => `x.tenant = (SELECT id FROM tenants WHERE ${condition})`);
    if (own) ways.push({ where: [`x.${owner} = ${own}`, ...ofNamed] });
    if (seen.tenants.length > 0) {
      const others = own ? [`x.${owner} <> ${own}`] : [];
      ways.push(ofTenants([`slug = ANY (${values.add(seen.tenants)})`, ...named], others));
    }
  }
  const chosen = [...new Set(filter.states)].flatMap((state) => states[state]);
  const inStates = chosen.length > 0 ? chosen : ['true'];
  const all = ways.flatMap((way) => inStates.map((state) => ({ ...way, where: [...way.where, state, ...common] })));
  return { source: newest(table, all, limit), values };
}
