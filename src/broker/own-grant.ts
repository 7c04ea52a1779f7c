import { LatchkeyError, type Reason } from '../domain/errors.ts';
import type { Grant } from '../domain/grant.ts';
import { decide } from '../policy/index.ts';
import type { GrantQuestion } from '../policy/question.ts';
import type { StoredGrant } from '../store/grants.ts';
import { aliasesOf } from '../store/persons.ts';
import { fixedTenant, type FixedTenant } from '../store/tenants.ts';
import type { Tx } from '../store/transaction.ts';
import { RecordedRefusal, refusedByPolicy } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import type { Journal } from './journal.ts';
import { requireVisible } from './see.ts';
import type { Decision } from '../policy/question.ts';

/** A grant that was found, that the caller may see, and its tenant. */
export interface SeenGrant extends StoredGrant {
  readonly tenant: FixedTenant;
}

/** @throws not-found when there is none, or none that the caller may see. */
export async function requireSeenGrant(
  context: BrokerContext,
  tx: Tx,
  caller: Caller,
  stored: StoredGrant | null,
): Promise<SeenGrant> {
  const tenant = stored && (await fixedTenant(tx, stored.grant.tenant));
  if (!stored || !tenant) throw new LatchkeyError('not-found', 'there is no such grant');
  requireVisible(context, caller, 'grants', { owner: stored.grant.person, tenantSlug: tenant.slug });
  return { ...stored, tenant };
}

/**
 * A grant of the caller's own.
 * @throws not-found when they may not see it; not-permitted when it is somebody else's.
 */
export async function requireOwnGrant(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  stored: StoredGrant | null,
  what: 'extend' | 'mint',
): Promise<SeenGrant> {
  const seen = await requireSeenGrant(context, tx, caller, stored);
  if (seen.grant.person === caller.id) return seen;
  const verb = { extend: 'extend it', mint: 'get credentials for it' }[what];
  const message = `only a grant's holder may ${verb}`;
  throw refuseOnGrant(journal, seen, what, { policy: 'holder-only', message, remedy: null });
}

/** The refusal, by a rule that is no policy's, of what somebody wants to do with a grant that they see: a fact too. */
export function refuseOnGrant(
  journal: Journal,
  { grant, now }: StoredGrant,
  action: string,
  reason: Reason,
): RecordedRefusal {
  journal.fact(now, grant.tenant, refusedOn(grant, action, []));
  return new RecordedRefusal(new LatchkeyError('not-permitted', reason.message, { reasons: [reason] }));
}

/** Asks policy whether the caller may do this to a grant. @throws not-permitted, recorded. */
export async function decideOnGrant(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  { grant, tenant, now }: SeenGrant,
  action: Exclude<GrantQuestion['action'], 'cancel'>,
): Promise<Decision> {
  const decision = decide(context.policy(), {
    action,
    person: caller,
    subject: grant.id,
    tenant,
    profile: grant.profile,
    isHolder: grant.person === caller.id,
    isSameHuman: (await aliasesOf(tx, caller.id)).has(grant.person),
    now: now.getTime(),
  });
  if (decision.allowed) return decision;
  journal.fact(now, grant.tenant, refusedOn(grant, action, [journal.decision(decision, caller.id)]));
  throw new RecordedRefusal(refusedByPolicy(decision));
}

type Refused = Parameters<Journal['fact']>[2] & { readonly type: 'request.refused' };

function refusedOn(grant: Grant, action: string, decisions: Refused['decisions']): Refused {
  return {
    type: 'request.refused',
    action,
    subject: grant.id,
    profile: grant.profile,
    devices: grant.devices,
    decisions,
  };
}
