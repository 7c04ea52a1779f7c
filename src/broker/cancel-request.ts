import { LatchkeyError } from '../domain/errors.ts';
import type { RequestId } from '../domain/ids.ts';
import { requirePending, type CancelledRequest } from '../domain/request.ts';
import { decide } from '../policy/index.ts';
import { lockRequest, recordOutcome } from '../store/requests.ts';
import { fixedTenant } from '../store/tenants.ts';
import type { Tx } from '../store/transaction.ts';
import { RecordedRefusal, refusedByPolicy } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import type { Journal } from './journal.ts';
import { requireVisible } from './see.ts';

/** Takes back what was asked for. @throws not-found, not-permitted (recorded), conflict when it is decided. */
export async function cancelRequest(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  id: RequestId,
): Promise<CancelledRequest> {
  const stored = await lockRequest(tx, id);
  const tenant = stored && (await fixedTenant(tx, stored.request.tenant));
  if (!stored || !tenant) throw new LatchkeyError('not-found', 'there is no such request');
  const { request, now } = stored;
  requireVisible(context, caller, 'requests', { owner: request.requester, tenantSlug: tenant.slug });
  const isHolder = request.requester === caller.id;
  const decision = decide(context.policy(), {
    action: 'cancel',
    person: caller,
    subject: id,
    tenant,
    profile: request.profile,
    isHolder,
    isSameHuman: isHolder,
    now: now.getTime(),
  });
  if (!decision.allowed) {
    journal.fact(now, request.tenant, {
      type: 'request.refused',
      action: 'cancel',
      subject: id,
      profile: request.profile,
      devices: request.devices,
      decisions: [journal.decision(decision, caller.id)],
    });
    throw new RecordedRefusal(refusedByPolicy(decision));
  }
  const pending = requirePending(request);
  recordOutcome(tx, id, { state: 'cancelled' }, now);
  journal.fact(now, request.tenant, { type: 'request.cancelled', request: id });
  journal.afterCommit(() => context.hints.requestChanged(id));
  return { ...pending, state: 'cancelled' };
}
