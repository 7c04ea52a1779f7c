import { LatchkeyError } from '../domain/errors.ts';
import { extend, requireActive, type Grant } from '../domain/grant.ts';
import { newId, type GrantId } from '../domain/ids.ts';
import type { AccessRequest, PendingRequest } from '../domain/request.ts';
import type { Terms } from '../domain/terms.ts';
import { broker } from '../ledger/events.ts';
import { findDevices } from '../store/devices.ts';
import { recordExtension } from '../store/grant-changes.ts';
import { findGrant, lockGrant } from '../store/grants.ts';
import { raiseLiveVersions } from '../store/live-grants.ts';
import { recordOutcome, type StoredRequest } from '../store/requests.ts';
import type { Tx } from '../store/transaction.ts';
import { RecordedRefusal, refusedByPolicy } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import { requireOwnGrant } from './own-grant.ts';
import type { Journal } from './journal.ts';
import { decideUse, stagesOf, submit } from './request-access.ts';

/**
 * Asks for more time on a grant: a request like any other, with the same stages, that lapses when the grant ends.
 * Without stages the grant is extended at once.
 * @throws not-found, not-permitted (not the holder's, or refused by policy), conflict (not in force).
 */
export async function requestExtension(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  id: GrantId,
  wish: { readonly duration: number; readonly reason: string },
): Promise<AccessRequest> {
  const stored = await lockGrant(tx, id);
  const { grant: any, now } = await requireOwnGrant(context, tx, journal, caller, stored, 'extend');
  const profile = context.policy().profiles.get(any.profile);
  if (!profile) throw new LatchkeyError('conflict', `the profile \`${any.profile}\` is no longer offered`);
  const devices = await findDevices(tx, any.devices);
  const lived = (any.expiresAt.getTime() - any.startsAt.getTime()) / 1000;
  const total = Math.ceil(lived + wish.duration);
  const decisions = await decideUse(context, tx, caller, {
    action: 'extend',
    profile,
    devices,
    wish: { duration: wish.duration, total },
    now,
  });
  const recorded = decisions.map((decision) => journal.decision(decision, caller.id));
  const refusal = decisions.find((decision) => !decision.allowed);
  if (refusal) {
    journal.fact(now, any.tenant, {
      type: 'request.refused',
      action: 'extend',
      subject: id,
      profile: profile.name,
      devices: any.devices,
      decisions: recorded,
    });
    throw new RecordedRefusal(refusedByPolicy(refusal));
  }
  const grant = requireActive(any);
  const request: PendingRequest = {
    id: newId('request', now.getTime()),
    state: 'pending',
    profile: grant.profile,
    tenant: grant.tenant,
    devices: grant.devices,
    duration: wish.duration,
    scopes: grant.scopes,
    dataClasses: profile.dataClasses,
    reason: wish.reason,
    ticket: null,
    requester: caller.id,
    createdAt: now,
    startsAt: null,
    lapsesAt: grant.expiresAt,
    extends: id,
    stages: stagesOf(profile, devices[0]!.tenantSlug),
    decisions: [],
  };
  await submit(tx, journal, request, profile, recorded);
  if (request.stages.length > 0) return request;
  await extendGrant(context, tx, journal, { request, terms: request }, profile, now);
  return { ...request, state: 'granted', grant: id };
}

/**
 * Moves the end of the grant that an agreed request is about. The grant's row is locked by the caller.
 * @throws conflict when the grant is no longer in force or already lasts as long as it may.
 */
export async function extendGrant(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  agreed: { readonly request: PendingRequest; readonly terms: Terms },
  bounds: Pick<StoredRequest, 'longest' | 'longestTotal'>,
  now: Date,
): Promise<Grant> {
  const { request, terms } = agreed;
  const { grant } = (await findGrant(tx, request.extends!))!;
  const { longest, longestTotal } = bounds;
  const extended = extend(requireActive(grant), { duration: terms.duration, longest, longestTotal }, now);
  await recordExtension(tx, extended.id, extended.expiresAt);
  recordOutcome(tx, request.id, { state: 'granted', grant: extended.id }, now);
  raiseLiveVersions(tx, extended.devices);
  journal.fact(
    now,
    extended.tenant,
    {
      type: 'grant.extended',
      grant: extended.id,
      request: request.id,
      from: grant.expiresAt.toISOString(),
      to: extended.expiresAt.toISOString(),
    },
    broker,
  );
  journal.afterCommit(() => {
    context.hints.devicesChanged(extended.devices);
    context.hints.due(extended.expiresAt);
  });
  return extended;
}
