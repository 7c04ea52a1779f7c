import { LatchkeyError } from '../domain/errors.ts';
import { newId } from '../domain/ids.ts';
import { decide } from '../policy/index.ts';
import type { AdministerQuestion, TenantFacts } from '../policy/question.ts';
import { findTenant, putTenant, type Tenant } from '../store/tenants.ts';
import { databaseNow, type Tx } from '../store/transaction.ts';
import { RecordedRefusal, refusedByPolicy } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import type { Journal } from './journal.ts';

/** Asks policy whether the caller may administer this. @throws not-permitted, recorded. */
export async function requireAdministrator(
  context: BrokerContext,
  journal: Journal,
  caller: Caller,
  action: AdministerQuestion['action'],
  tenant: TenantFacts | null,
  now: Date,
): Promise<void> {
  const decision = decide(context.policy(), { action, person: caller, tenant, now: now.getTime() });
  if (decision.allowed) return;
  journal.fact(now, tenant?.id ?? null, {
    type: 'request.refused',
    action,
    subject: tenant?.id ?? null,
    profile: null,
    devices: [],
    decisions: [journal.decision(decision, caller.id)],
  });
  throw new RecordedRefusal(refusedByPolicy(decision));
}

/**
 * Makes a tenant or changes its name.
 * @throws not-permitted, recorded; conflict for another region than the broker's, or than the tenant has.
 */
export async function changeTenant(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  wish: { readonly slug: string; readonly name: string; readonly region: string },
): Promise<{ readonly tenant: Tenant; readonly made: boolean }> {
  const now = await databaseNow(tx);
  const known = await findTenant(tx, wish.slug);
  await requireAdministrator(context, journal, caller, 'manage-tenants', known, now);
  if (wish.region !== context.region) {
    throw new LatchkeyError('conflict', `this broker holds tenants of the region \`${context.region}\` only`);
  }
  const changed = await putTenant(tx, { id: newId('tenant', now.getTime()), ...wish });
  const tenant = (await findTenant(tx, wish.slug))!;
  if (changed) journal.fact(now, tenant.id, { type: 'tenant.changed', slug: tenant.slug, change: changed.change });
  return { tenant, made: changed?.change === 'made' };
}
