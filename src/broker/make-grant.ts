import { LatchkeyError } from '../domain/errors.ts';
import { spanOf, type LiveGrant } from '../domain/grant.ts';
import { newId, type DeviceId } from '../domain/ids.ts';
import { teamFor, type Profile } from '../domain/profile.ts';
import type { AccessRequest, PendingRequest } from '../domain/request.ts';
import type { Terms } from '../domain/terms.ts';
import { broker, type DecisionRecord } from '../ledger/events.ts';
import { insertGrant } from '../store/grant-changes.ts';
import { raiseLiveVersions } from '../store/live-grants.ts';
import { recordOutcome } from '../store/requests.ts';
import type { NoticeKind } from '../store/notices.ts';
import { fixedTenant } from '../store/tenants.ts';
import type { Tx } from '../store/transaction.ts';
import type { BrokerContext } from './context.ts';
import type { Journal } from './journal.ts';

/** A request as it stands after a use case, with the grant that was made of it there and then. */
export interface Outcome {
  readonly request: AccessRequest;
  /** Nobody else can have changed it yet: it need not be read. */
  readonly made: { readonly grant: LiveGrant; readonly now: Date } | null;
}

/** Kinds of alarm that a break-glass grant can have. */
export const reviewAlarms = ['break-glass-used', 'review-overdue'] as const;

/** What was asked for, what was allowed of it and why, and the devices that are enrolled and locked. */
export interface Agreed {
  readonly request: PendingRequest;
  readonly terms: Terms;
  readonly decisions: readonly DecisionRecord[];
  readonly enrolled: ReadonlySet<DeviceId>;
}

/**
 * Makes the grant of a request whose stages are all passed, and what follows from it: the request is granted, the
 * grant begins or is scheduled, its devices' lists change, and for break-glass people are told. A device that has been
 * taken out meanwhile is left out.
 */
export async function makeGrant(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  { request, terms, decisions, enrolled }: Agreed,
  now: Date,
): Promise<LiveGrant> {
  const span = spanOf(terms, request.startsAt, now);
  const profile = context.policy().profiles.get(request.profile);
  const reviewWithin = profile?.reviewWithin ?? null;
  const dueAt = reviewWithin === null ? null : new Date(span.startsAt.getTime() + reviewWithin * 1000);
  const devices = terms.devices.filter((device) => enrolled.has(device));
  if (devices.length === 0) throw new LatchkeyError('conflict', 'none of the devices is enrolled any more');
  const grant: LiveGrant = {
    id: newId('grant', now.getTime()),
    request: request.id,
    person: request.requester,
    tenant: request.tenant,
    profile: request.profile,
    devices,
    scopes: terms.scopes,
    ...span,
    review: dueAt && { dueAt, by: null, verdict: null },
    state: span.startsAt > now ? 'scheduled' : 'active',
    ending: null,
  };
  insertGrant(tx, grant, terms.duration, grant.state === 'active' ? now : null);
  recordOutcome(tx, request.id, { state: 'granted', grant: grant.id }, now);
  journal.afterCommit(() => context.hints.requestChanged(request.id));
  if (grant.state === 'scheduled') {
    journal.fact(now, grant.tenant, { type: 'grant.scheduled', ...grantTerms(grant) });
    journal.afterCommit(() => context.hints.due(grant.startsAt));
  } else {
    await beginGrant(context, tx, journal, grant, decisions, now);
  }
  if (dueAt && profile) await tellOfBreakGlass(tx, journal, grant, profile, now);
  return grant;
}

/** Puts a grant whose beginning is recorded on its devices' lists. */
export async function beginGrant(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  grant: LiveGrant,
  decisions: readonly DecisionRecord[],
  now: Date,
): Promise<void> {
  raiseLiveVersions(tx, grant.devices);
  journal.fact(now, grant.tenant, { type: 'grant.started', ...grantTerms(grant), decisions }, broker);
  journal.afterCommit(() => {
    context.hints.devicesChanged(grant.devices);
    context.hints.due(grant.expiresAt);
  });
}

/** Tells of a break-glass grant when it is asked for and, if that is later, once more when it begins. */
export async function tellOfBreakGlass(
  tx: Tx,
  journal: Journal,
  grant: LiveGrant,
  { tells }: Pick<Profile, 'tells'>,
  now: Date,
): Promise<void> {
  const kind = grant.state === 'scheduled' ? 'break-glass-scheduled' : 'break-glass-used';
  await tellTeams(tx, journal, kind, grant, tells, now);
  await journal.raise(tx, now, reviewAlarms[0], grant.id, grant.tenant);
}

/** @param teams as a profile names them, with `{tenant}` for the tenant's slug. */
export async function tellTeams(
  tx: Tx,
  journal: Journal,
  kind: NoticeKind,
  grant: Pick<LiveGrant, 'id' | 'tenant'>,
  teams: readonly string[],
  now: Date,
): Promise<void> {
  const tenant = await fixedTenant(tx, grant.tenant);
  for (const team of teams) journal.notice(now, { team: teamFor(team, tenant!.slug) }, kind, grant.id);
}

function grantTerms(grant: LiveGrant): {
  grant: LiveGrant['id'];
  request: LiveGrant['request'];
  person: LiveGrant['person'];
  profile: string;
  devices: LiveGrant['devices'];
  scopes: readonly string[];
  startsAt: string;
  expiresAt: string;
} {
  const { id, request, person, profile, devices, scopes, startsAt, expiresAt } = grant;
  return {
    grant: id,
    request,
    person,
    profile,
    devices,
    scopes,
    startsAt: startsAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
  };
}
