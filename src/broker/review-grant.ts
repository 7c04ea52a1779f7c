import { LatchkeyError } from '../domain/errors.ts';
import type { Grant, ReviewVerdict } from '../domain/grant.ts';
import type { GrantId } from '../domain/ids.ts';
import { recordReview } from '../store/grant-changes.ts';
import { lockGrant } from '../store/grants.ts';
import type { Tx } from '../store/transaction.ts';
import type { BrokerContext, Caller } from './context.ts';
import { reviewAlarms } from './make-grant.ts';
import { decideOnGrant, requireSeenGrant } from './own-grant.ts';
import type { Journal } from './journal.ts';

/**
 * Says whether a break-glass grant was justified. Closes its alarms.
 * @throws not-found, not-permitted (recorded), conflict when it needs no review, has had one, or has not begun.
 */
export async function reviewGrant(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  id: GrantId,
  said: { readonly verdict: ReviewVerdict; readonly comment: string | null },
): Promise<Grant> {
  const seen = await requireSeenGrant(context, tx, caller, await lockGrant(tx, id));
  const decision = await decideOnGrant(context, tx, journal, caller, seen, 'review');
  const { grant, now } = seen;
  if (!grant.review) throw new LatchkeyError('conflict', 'this grant needs no review');
  if (grant.review.verdict) throw new LatchkeyError('conflict', 'this grant has been reviewed');
  if (grant.state === 'scheduled') throw new LatchkeyError('conflict', 'this grant has not begun');
  await recordReview(tx, id, { by: caller.id, verdict: said.verdict, at: now });
  journal.fact(now, grant.tenant, {
    type: 'review.completed',
    grant: id,
    verdict: said.verdict,
    comment: journal.text(said.comment, caller.id, { about: grant.person }),
    decision: journal.decision(decision, caller.id),
  });
  await journal.close(tx, now, reviewAlarms, id);
  return { ...grant, review: { ...grant.review, by: caller.id, verdict: said.verdict } };
}
