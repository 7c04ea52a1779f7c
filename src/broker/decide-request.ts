import { LatchkeyError } from '../domain/errors.ts';
import type { DeviceId, GrantId, PersonId, RequestId } from '../domain/ids.ts';
import {
  approve,
  deny,
  isRepeat,
  requirePending,
  stagesFor,
  type AccessRequest,
  type Stage,
  type StageDecision,
  type Verdict,
} from '../domain/request.ts';
import type { Narrow } from '../domain/terms.ts';
import { decide } from '../policy/index.ts';
import type { Decision, TenantFacts } from '../policy/question.ts';
import { lockEnrolledOf } from '../store/devices.ts';
import { aliasesOf } from '../store/persons.ts';
import {
  findRequest,
  insertDecision,
  lockPlainRequest,
  lockRequest,
  recordOutcome,
  type StoredRequest,
} from '../store/requests.ts';
import { lockGrant } from '../store/grants.ts';
import { fixedTenant } from '../store/tenants.ts';
import type { Tx } from '../store/transaction.ts';
import { noPolicyPermits, RecordedRefusal, refusedByPolicy } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import { extendGrant } from './extend-grant.ts';
import { makeGrant, type Outcome } from './make-grant.ts';
import type { Journal } from './journal.ts';
import { decidingTeams } from './people.ts';
import { requireVisible } from './see.ts';

export interface Say {
  readonly verdict: Verdict;
  /** The stage meant; null is the first that the caller may decide. */
  readonly stage: string | null;
  readonly comment: string | null;
  readonly narrow: Narrow | null;
}

const noDevices: ReadonlySet<DeviceId> = new Set();

/**
 * One person's yes or no. The last yes that was needed makes the grant, one no ends the request, in this transaction.
 * @throws not-found when the caller may not see the request; not-permitted, recorded, when they may decide none of its
 *   stages; conflict when it is no longer pending; invalid-request for a narrowing that widens or leaves nothing.
 */
export async function decideRequest(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  id: RequestId,
  say: Say,
): Promise<Outcome> {
  const [stored, aliases, enrolled] = await Promise.all([
    lockForDecision(tx, id),
    aliasesOf(tx, caller.id),
    say.verdict === 'approve' ? lockEnrolledOf(tx, id) : noDevices,
  ]);
  const tenant = stored && (await fixedTenant(tx, stored.request.tenant));
  if (!stored || !tenant) throw new LatchkeyError('not-found', 'there is no such request');
  const { request, now } = stored;
  requireVisible(context, caller, 'requests', { owner: request.requester, tenantSlug: tenant.slug });
  if (isRepeat(request, caller.id, say.verdict, say.stage)) return { request, made: null };

  const chosen = chooseStage(context, caller, request, tenant, aliases, say, now);
  if (chosen ? !chosen.decision.allowed : !decidesElsewhere(context, caller, request, aliases)) {
    journal.fact(now, request.tenant, {
      type: 'request.refused',
      action: 'decide',
      subject: id,
      profile: request.profile,
      devices: request.devices,
      decisions: chosen ? [journal.decision(chosen.decision, caller.id)] : [],
    });
    throw new RecordedRefusal(chosen ? refusedByPolicy(chosen.decision) : noPolicyPermits('decide this request'));
  }
  const pending = requirePending(request);
  // A request without stages is never pending.
  const { stage, decision } = chosen!;
  const said: StageDecision = { by: caller.id, ...say, stage: stage.name, at: now };
  const sameHuman = (a: PersonId, b: PersonId): boolean => a === b || (aliases.has(a) && aliases.has(b));
  const outcome = say.verdict === 'approve' ? approve(pending, said, sameHuman) : deny(pending, said, sameHuman);

  const comment = journal.text(say.comment, caller.id, { about: request.requester });
  const decided = journal.decision(decision, caller.id);
  insertDecision(tx, pending, said, comment);
  journal.fact(now, request.tenant, {
    type: say.verdict === 'approve' ? 'request.approved' : 'request.denied',
    request: id,
    stage: stage.name,
    comment,
    narrow: say.narrow && { ...say.narrow },
    decision: decided,
  });
  journal.afterCommit(() => context.hints.requestChanged(id));

  if ('state' in outcome) {
    recordOutcome(tx, id, { state: 'denied' }, now);
    journal.notice(now, { person: request.requester }, 'request-decided', id);
    return { request: outcome, made: null };
  }
  if (outcome.outcome === 'open') return { request: outcome.request, made: null };
  journal.notice(now, { person: request.requester }, 'request-decided', id);
  const agreed = { request: outcome.request, terms: outcome.terms, decisions: [decided], enrolled };
  const granted = (grant: GrantId): AccessRequest => ({ ...outcome.request, state: 'granted', grant });
  if (pending.extends) {
    const { id: extended } = await extendGrant(context, tx, journal, agreed, stored, now);
    return { request: granted(extended), made: null };
  }
  const grant = await makeGrant(context, tx, journal, agreed, now);
  return { request: granted(grant.id), made: { grant, now } };
}

/**
 * Locks what a decision changes. The grant that a request would extend is locked before the request, in the order in
 * which the end of a grant takes them, so that neither waits for the other.
 */
async function lockForDecision(tx: Tx, id: RequestId): Promise<StoredRequest | null> {
  const plain = await lockPlainRequest(tx, id);
  if (plain) return plain;
  const extended = (await findRequest(tx, id))?.request.extends;
  if (extended) await lockGrant(tx, extended);
  return lockRequest(tx, id);
}

/** Nobody decides a request without stages; only those who decide others' requests are told that it is too late. */
function decidesElsewhere(
  context: BrokerContext,
  caller: Caller,
  { requester }: AccessRequest,
  aliases: ReadonlySet<PersonId>,
): boolean {
  return !aliases.has(requester) && decidingTeams(context, caller).length > 0;
}

/** The stage that the caller decides: the one they name, or the first that policy lets them; null when it has none. */
function chooseStage(
  context: BrokerContext,
  caller: Caller,
  request: AccessRequest,
  tenant: TenantFacts,
  aliases: ReadonlySet<PersonId>,
  say: Say,
  now: Date,
): { readonly stage: Stage; readonly decision: Decision } | null {
  const approved = request.decisions.some((d) => d.verdict === 'approve' && aliases.has(d.by));
  const asked = stagesFor(request, say.stage).map((stage) => ({
    stage,
    decision: decide(context.policy(), {
      action: 'decide',
      person: caller,
      request: request.id,
      tenant,
      profile: request.profile,
      stage,
      isRequester: aliases.has(request.requester),
      // Who has approved one stage may still deny: a no takes nothing that a second human should give.
      decidedOtherStage: say.verdict === 'approve' && approved,
      now: now.getTime(),
    }),
  }));
  return asked.find(({ decision }) => decision.allowed) ?? asked[0] ?? null;
}
