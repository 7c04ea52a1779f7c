import type { GrantId, PersonId, RequestId, TenantId } from './ids.ts';
import type { DataClass } from './profile.ts';
import { LatchkeyError, invalid } from './errors.ts';
import { narrowest, type Narrow, type Terms } from './terms.ts';

/** Who must agree, as fixed when the request was made. */
export interface Stage {
  readonly name: string;
  readonly from: readonly string[];
  readonly needs: number;
}

export type Verdict = 'approve' | 'deny';

/** One person's yes or no. */
export interface StageDecision {
  readonly by: PersonId;
  readonly verdict: Verdict;
  readonly stage: string;
  readonly comment: string | null;
  readonly narrow: Narrow | null;
  readonly at: Date;
}

interface RequestFacts extends Terms {
  readonly id: RequestId;
  readonly profile: string;
  readonly tenant: TenantId;
  readonly dataClasses: readonly DataClass[];
  readonly reason: string | null;
  readonly ticket: string | null;
  readonly requester: PersonId;
  readonly createdAt: Date;
  readonly startsAt: Date | null;
  readonly lapsesAt: Date;
  readonly extends: GrantId | null;
  readonly stages: readonly Stage[];
  readonly decisions: readonly StageDecision[];
}

export type PendingRequest = RequestFacts & { readonly state: 'pending' };
export type GrantedRequest = RequestFacts & { readonly state: 'granted'; readonly grant: GrantId };
export type DeniedRequest = RequestFacts & { readonly state: 'denied' };
export type CancelledRequest = RequestFacts & { readonly state: 'cancelled' };
export type LapsedRequest = RequestFacts & { readonly state: 'lapsed' };

/** What someone asked for. It is decided once: every state but `pending` is final. */
export type AccessRequest = PendingRequest | GrantedRequest | DeniedRequest | CancelledRequest | LapsedRequest;

export const requestStates = ['pending', 'granted', 'denied', 'cancelled', 'lapsed'] as const;
export type RequestState = (typeof requestStates)[number];

/** What is recorded of a request's outcome; the clock does the rest. */
export type RecordedOutcome =
  | { readonly state: 'pending' | 'denied' | 'cancelled' | 'lapsed' }
  | { readonly state: 'granted'; readonly grant: GrantId };

/** A request as it stands at `now`: what was recorded, and lapsed by the clock whoever has noticed. */
export function requestAt(facts: RequestFacts, recorded: RecordedOutcome, now: Date): AccessRequest {
  if (recorded.state === 'pending' && now >= facts.lapsesAt) return { ...facts, state: 'lapsed' };
  return { ...facts, ...recorded };
}

/** The request when it may still be decided; otherwise a 409 that says what became of it. */
export function requirePending(request: AccessRequest): PendingRequest {
  if (request.state === 'pending') return request;
  throw new LatchkeyError('conflict', `the request is already \`${request.state}\``);
}

/** Who has approved a stage, in the order in which they did. */
export function approvedBy(request: Pick<RequestFacts, 'decisions'>, stage: string): readonly PersonId[] {
  return request.decisions.filter((d) => d.stage === stage && d.verdict === 'approve').map((d) => d.by);
}

/** The stages that still need somebody. */
export function openStages(request: Pick<RequestFacts, 'stages' | 'decisions'>): readonly Stage[] {
  return request.stages.filter((stage) => approvedBy(request, stage.name).length < stage.needs);
}

/**
 * True when this person has already said just this, so that saying it again changes nothing: a retry whose first
 * answer was lost is told the same, also when that very verdict has ended the request.
 */
export function isRepeat(request: AccessRequest, by: PersonId, verdict: Verdict, stage: string | null): boolean {
  const standing = { approve: ['pending', 'granted'], deny: ['denied'] }[verdict];
  return (
    standing.includes(request.state) &&
    request.decisions.some((d) => d.by === by && d.verdict === verdict && (stage === null || d.stage === stage))
  );
}

/**
 * The stages that a verdict may be about, those that still need somebody first. Passed ones are among them: who has
 * approved may still deny, and who comes too late is told so rather than refused.
 * @throws invalid-request when the named stage is not one of the request's.
 */
export function stagesFor(request: Pick<RequestFacts, 'stages' | 'decisions'>, named: string | null): readonly Stage[] {
  if (named === null) return [...new Set([...openStages(request), ...request.stages])];
  const stage = request.stages.find((s) => s.name === named);
  if (!stage) throw invalid('/stage', `the request has no stage \`${named}\``);
  return [stage];
}

/** What a request's approvals make of it. */
export type Approval =
  | { readonly outcome: 'open'; readonly request: PendingRequest }
  | { readonly outcome: 'passed'; readonly request: PendingRequest; readonly terms: Terms };

/**
 * Adds one approval. Passed means that every stage has what it needs, and on which terms: the narrowest of all.
 * @param sameHuman whether two persons count as one human: nobody counts for their own request, nor for two stages,
 *   nor twice for one.
 * @throws not-permitted for those; invalid-request when the narrowing widens or leaves nothing.
 */
export function approve(
  request: PendingRequest,
  decision: StageDecision,
  sameHuman: (a: PersonId, b: PersonId) => boolean,
): Approval {
  if (sameHuman(decision.by, request.requester)) {
    throw new LatchkeyError('not-permitted', 'nobody decides a request of their own');
  }
  if (request.decisions.some((d) => d.verdict === 'approve' && sameHuman(d.by, decision.by))) {
    throw new LatchkeyError('not-permitted', 'no one counts twice for a request');
  }
  if (!openStages(request).some((stage) => stage.name === decision.stage)) {
    throw new LatchkeyError('conflict', `the stage \`${decision.stage}\` has all the approvals it needs`);
  }
  const decided: PendingRequest = { ...request, decisions: [...request.decisions, decision] };
  const terms = termsOf(decided);
  return openStages(decided).length > 0
    ? { outcome: 'open', request: decided }
    : { outcome: 'passed', request: decided, terms };
}

/** The terms that the approvals so far leave. @throws invalid-request when they leave nothing or widen. */
export function termsOf(request: PendingRequest): Terms {
  return narrowest(
    request,
    request.decisions.map((d) => d.narrow),
    request.extends !== null,
  );
}

/** One denial ends a request. @throws not-permitted for one's own. */
export function deny(
  request: PendingRequest,
  decision: StageDecision,
  sameHuman: (a: PersonId, b: PersonId) => boolean,
): DeniedRequest {
  if (sameHuman(decision.by, request.requester)) {
    throw new LatchkeyError('not-permitted', 'nobody decides a request of their own');
  }
  return { ...request, state: 'denied', decisions: [...request.decisions, decision] };
}

/** When a request stops waiting: after its profile's lapse time, but a scheduled one not before it would start. */
export function lapseTime(createdAt: Date, lapseSeconds: number, startsAt: Date | null): Date {
  return new Date(Math.max(createdAt.getTime() + lapseSeconds * 1000, startsAt?.getTime() ?? 0));
}
