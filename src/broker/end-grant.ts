import {
  release,
  requireLive,
  revoke,
  type LiveGrant,
  type ReleasedGrant,
  type RevokedGrant,
} from '../domain/grant.ts';
import type { GrantId, PersonId } from '../domain/ids.ts';
import type { Commitment, DecisionRecord } from '../ledger/events.ts';
import { recordEnding } from '../store/grant-changes.ts';
import { lockGrant } from '../store/grants.ts';
import { raiseLiveVersions } from '../store/live-grants.ts';
import { lapseExtensionsOf } from '../store/requests.ts';
import type { Tx } from '../store/transaction.ts';
import { broker } from '../ledger/events.ts';
import type { BrokerContext, Caller } from './context.ts';
import { decideOnGrant, requireSeenGrant } from './own-grant.ts';
import type { Journal } from './journal.ts';

/**
 * Ends a grant against its holder's will. Its holder is told.
 * @throws not-found, not-permitted (recorded), conflict when it has ended.
 */
export async function revokeGrant(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  id: GrantId,
  reason: string,
): Promise<RevokedGrant> {
  const seen = await requireSeenGrant(context, tx, caller, await lockGrant(tx, id));
  const decision = await decideOnGrant(context, tx, journal, caller, seen, 'revoke');
  const ended = revoke(requireLive(seen.grant), caller.id, reason, seen.now);
  await writeRevocation(context, tx, journal, ended, {
    by: caller.id,
    cause: 'person',
    reason: journal.text(reason, caller.id, { about: ended.person }),
    decision: journal.decision(decision, caller.id),
  });
  return ended;
}

/** Gives a grant back. @throws not-found, not-permitted (recorded), conflict when it has ended. */
export async function releaseGrant(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  id: GrantId,
): Promise<ReleasedGrant> {
  const seen = await requireSeenGrant(context, tx, caller, await lockGrant(tx, id));
  await decideOnGrant(context, tx, journal, caller, seen, 'release');
  const ended = release(requireLive(seen.grant), caller.id, seen.now);
  await recordEnding(tx, ended, null, null);
  journal.fact(seen.now, ended.tenant, { type: 'grant.released', grant: id });
  await followEnd(context, tx, journal, ended);
  return ended;
}

/** Ends a grant by the broker's own hand, for a cause that it names. The grant's row is locked by the caller. */
export async function revokeByBroker(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  grant: LiveGrant,
  why: { readonly cause: 'policy' | 'devices-gone'; readonly note: string; readonly decision: DecisionRecord | null },
  now: Date,
): Promise<RevokedGrant> {
  const ended = revoke(grant, null, why.note, now);
  await writeRevocation(context, tx, journal, ended, { by: null, reason: null, ...why });
  return ended;
}

async function writeRevocation(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  ended: RevokedGrant,
  why: {
    readonly by: PersonId | null;
    readonly cause: 'person' | 'policy' | 'devices-gone';
    readonly reason: Commitment | null;
    readonly note?: string;
    readonly decision: DecisionRecord | null;
  },
): Promise<void> {
  const { at } = ended.ending;
  await recordEnding(tx, ended, why.reason, why.note ?? null);
  journal.fact(
    at,
    ended.tenant,
    { type: 'grant.revoked', grant: ended.id, reason: why.reason, cause: why.cause, decision: why.decision },
    why.by ? journal.actor : broker,
  );
  journal.notice(at, { person: ended.person }, 'grant-revoked', ended.id);
  await followEnd(context, tx, journal, ended);
}

/** What follows from any end before time: the devices' lists change, and what would have extended the grant lapses. */
async function followEnd(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  ended: RevokedGrant | ReleasedGrant,
): Promise<void> {
  const { at } = ended.ending;
  for (const request of await lapseExtensionsOf(tx, ended.id, at)) {
    journal.fact(at, request.tenant, { type: 'request.lapsed', request: request.id }, broker);
    journal.afterCommit(() => context.hints.requestChanged(request.id));
  }
  raiseLiveVersions(tx, ended.devices);
  journal.afterCommit(() => context.hints.devicesChanged(ended.devices));
}
