import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from './ids.ts';
import { LatchkeyError } from './errors.ts';
import type { Terms } from './terms.ts';

export interface GrantFacts {
  readonly id: GrantId;
  readonly request: RequestId;
  readonly person: PersonId;
  readonly tenant: TenantId;
  readonly profile: string;
  readonly devices: readonly DeviceId[];
  readonly scopes: readonly string[];
  readonly startsAt: Date;
  readonly expiresAt: Date;
  readonly review: Review | null;
}

export interface Review {
  readonly dueAt: Date;
  readonly by: PersonId | null;
  readonly verdict: ReviewVerdict | null;
}
export type ReviewVerdict = 'justified' | 'unjustified';
export type ReviewState = 'due' | 'overdue' | 'done';

/** How a grant ended before its time. `by` is null when the broker itself ended it. */
export interface Ending {
  readonly state: 'revoked' | 'released';
  readonly at: Date;
  readonly by: PersonId | null;
  readonly reason: string | null;
}

export type ScheduledGrant = GrantFacts & { readonly state: 'scheduled'; readonly ending: null };
export type ActiveGrant = GrantFacts & { readonly state: 'active'; readonly ending: null };
export type ExpiredGrant = GrantFacts & { readonly state: 'expired'; readonly ending: null };
export type RevokedGrant = GrantFacts & { readonly state: 'revoked'; readonly ending: Ending };
export type ReleasedGrant = GrantFacts & { readonly state: 'released'; readonly ending: Ending };

export type LiveGrant = ScheduledGrant | ActiveGrant;
export type EndedGrant = ExpiredGrant | RevokedGrant | ReleasedGrant;
export type Grant = LiveGrant | EndedGrant;

export const grantStates = ['scheduled', 'active', 'expired', 'revoked', 'released'] as const;
export type GrantState = (typeof grantStates)[number];

/** A grant as it stands at `now`. INVARIANT: past `expiresAt` it is dead, whatever has been recorded. */
export function grantAt(facts: GrantFacts, ending: Ending | null, now: Date): Grant {
  if (ending) return { ...facts, state: ending.state, ending };
  if (now >= facts.expiresAt) return { ...facts, state: 'expired', ending: null };
  return { ...facts, state: now < facts.startsAt ? 'scheduled' : 'active', ending: null };
}

/** When it ended, for an ended grant: by its ending, or by the clock. */
export function endedAt(grant: Grant): Date | null {
  if (grant.ending) return grant.ending.at;
  return grant.state === 'expired' ? grant.expiresAt : null;
}

/** The span of a new grant: from the last approval or the time asked for, never earlier, for the agreed duration. */
export function spanOf(terms: Terms, startsAt: Date | null, now: Date): { startsAt: Date; expiresAt: Date } {
  const start = new Date(Math.max(now.getTime(), startsAt?.getTime() ?? 0));
  return { startsAt: start, expiresAt: new Date(start.getTime() + terms.duration * 1000) };
}

/** The grant when it has not ended; otherwise a 409 that says how it did. */
export function requireLive(grant: Grant): LiveGrant {
  if (grant.state === 'scheduled' || grant.state === 'active') return grant;
  throw new LatchkeyError('conflict', `the grant is already \`${grant.state}\``);
}

/** The grant when it is in force; otherwise a 409 that says why it is not. */
export function requireActive(grant: Grant): ActiveGrant {
  const live = requireLive(grant);
  if (live.state === 'active') return live;
  throw new LatchkeyError('conflict', `the grant begins at ${live.startsAt.toISOString()}`);
}

export function revoke(grant: LiveGrant, by: PersonId | null, reason: string, now: Date): RevokedGrant {
  return { ...grant, state: 'revoked', ending: { state: 'revoked', at: now, by, reason } };
}

export function release(grant: LiveGrant, by: PersonId, now: Date): ReleasedGrant {
  return { ...grant, state: 'released', ending: { state: 'released', at: now, by, reason: null } };
}

/**
 * Moves an active grant's end, never nearer: at most `longest` after the decision, and the whole life at most
 * `longestTotal` (both in seconds).
 * @throws conflict when nothing would be gained.
 */
export function extend(
  grant: ActiveGrant,
  by: { readonly duration: number; readonly longest: number; readonly longestTotal: number },
  now: Date,
): ActiveGrant {
  const end = Math.min(
    grant.expiresAt.getTime() + by.duration * 1000,
    now.getTime() + by.longest * 1000,
    grant.startsAt.getTime() + by.longestTotal * 1000,
  );
  if (end <= grant.expiresAt.getTime()) {
    throw new LatchkeyError('conflict', 'the grant already lasts as long as its profile allows');
  }
  return { ...grant, expiresAt: new Date(end) };
}

/** Where a grant's review stands at `now`. */
export function reviewState(review: Review, now: Date): ReviewState {
  if (review.verdict) return 'done';
  return now >= review.dueAt ? 'overdue' : 'due';
}
