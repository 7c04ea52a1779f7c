import type { TenantId } from '../domain/ids.ts';
import { row, rows, type Runner, type Tx } from './transaction.ts';

export interface Tenant {
  readonly id: TenantId;
  readonly slug: string;
  readonly name: string;
  readonly region: string;
}

const columns = 'id, slug, name, region';

/** A tenant by id or slug; null when there is none. */
export async function findTenant(runner: Runner, idOrSlug: string): Promise<Tenant | null> {
  return row<Tenant>(runner, 'find-tenant', `SELECT ${columns} FROM tenants WHERE $1 IN (id, slug)`, [idOrSlug]);
}

/** What of a tenant is fixed when it is made (`tenant_is_fixed_when_made`). */
export type FixedTenant = Omit<Tenant, 'name'>;

const known = new Map<TenantId, FixedTenant>();
const mostKnown = 10_000;

/** The tenant of that id, without what may change of it: of a tenant once seen that is known without asking. */
export async function fixedTenant(runner: Runner, id: TenantId): Promise<FixedTenant | null> {
  const before = known.get(id);
  if (before) return before;
  const found = await findTenant(runner, id);
  if (!found) return null;
  const fixed = { id: found.id, slug: found.slug, region: found.region };
  if (known.size >= mostKnown) known.delete(known.keys().next().value!);
  known.set(id, fixed);
  return fixed;
}

/** Makes a tenant or changes its name. @returns null when nothing changed. */
export async function putTenant(tx: Tx, tenant: Tenant): Promise<{ readonly change: 'made' | 'renamed' } | null> {
  const found = await row<{ change: 'made' | 'renamed' }>(
    tx,
    'put-tenant',
    `INSERT INTO tenants (id, slug, name, region) VALUES ($1, $2, $3, $4)
     ON CONFLICT ON CONSTRAINT one_tenant_per_slug DO UPDATE SET name = $3 WHERE tenants.name <> $3
     RETURNING CASE WHEN id = $1 THEN 'made' ELSE 'renamed' END AS change`,
    [tenant.id, tenant.slug, tenant.name, tenant.region],
  );
  return found;
}

/** Tenants, newest first; only those of these slugs unless `slugs` is null. */
export async function listTenants(
  runner: Runner,
  slugs: readonly string[] | null,
  wanted: { readonly before: TenantId | null; readonly limit: number },
): Promise<Tenant[]> {
  return rows<Tenant>(
    runner,
    'list-tenants',
    `SELECT ${columns} FROM tenants
     WHERE ($1::text[] IS NULL OR slug = ANY ($1)) AND ($2::text IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
    [slugs, wanted.before, wanted.limit],
  );
}
