import { LatchkeyError, invalid } from '../domain/errors.ts';
import { newId, type DeviceId } from '../domain/ids.ts';
import { teamFor, type Profile } from '../domain/profile.ts';
import { lapseTime, type PendingRequest, type Stage } from '../domain/request.ts';
import { decide } from '../policy/index.ts';
import type { Decision } from '../policy/question.ts';
import { findDevices, lockEnrolled, type Device } from '../store/devices.ts';
import { hasOverdueReview } from '../store/grants.ts';
import { aliasesOf } from '../store/persons.ts';
import { insertRequest } from '../store/requests.ts';
import { databaseNow, type Tx } from '../store/transaction.ts';
import { noPolicyPermits, RecordedRefusal, refusedByPolicy } from './command.ts';
import { tenantFacts, type BrokerContext, type Caller } from './context.ts';
import { makeGrant, type Outcome } from './make-grant.ts';
import { seenBy } from './people.ts';
import type { Journal } from './journal.ts';

export interface AccessWish {
  readonly profile: string;
  readonly devices: readonly DeviceId[];
  /** Whole seconds. */
  readonly duration: number;
  readonly reason: string;
  readonly ticket: string | null;
  readonly startsAt: Date | null;
}

/** How far ahead a start may be scheduled, in milliseconds: what is asked for now should be about the work at hand. */
const furthestStart = 90 * 86_400_000;

/**
 * Asks for access. With no stage to pass it is granted at once.
 * @throws invalid-request for an unknown profile, an unusable device or a start in the past; not-permitted, recorded,
 *   when policy refuses any of the devices: all or nothing.
 */
export async function requestAccess(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  wish: AccessWish,
): Promise<Outcome> {
  context.ledger.requireRoom();
  const profile = context.policy().profiles.get(wish.profile);
  if (!profile) throw invalid('/profile', `there is no profile \`${wish.profile}\``);
  if (!seesAnyDevice(context, caller)) throw refuseStranger(await databaseNow(tx), journal, profile);
  const grantsAtOnce = profile.stages.length === 0;
  const [devices, now, enrolled] = await Promise.all([
    usableDevices(context, tx, caller, wish.devices),
    databaseNow(tx),
    grantsAtOnce ? lockEnrolled(tx, wish.devices) : null,
  ]);
  checkStart(wish.startsAt, now);

  const decisions = await decideUse(context, tx, caller, { action: 'request', profile, devices, wish, now });
  const recorded = decisions.map((decision) => journal.decision(decision, caller.id));
  const refusal = decisions.find((decision) => !decision.allowed);
  const tenant = devices[0]!.tenant;
  if (refusal) {
    journal.fact(now, tenant, {
      type: 'request.refused',
      action: 'request',
      subject: null,
      profile: profile.name,
      devices: wish.devices,
      decisions: recorded,
    });
    throw new RecordedRefusal(refusedByPolicy(refusal));
  }
  const request: PendingRequest = {
    id: newId('request', now.getTime()),
    state: 'pending',
    profile: profile.name,
    tenant,
    devices: wish.devices,
    duration: wish.duration,
    scopes: profile.scopes,
    dataClasses: profile.dataClasses,
    reason: wish.reason,
    ticket: wish.ticket,
    requester: caller.id,
    createdAt: now,
    startsAt: wish.startsAt,
    lapsesAt: lapseTime(now, profile.lapse, wish.startsAt),
    extends: null,
    stages: stagesOf(profile, devices[0]!.tenantSlug),
    decisions: [],
  };
  await submit(tx, journal, request, profile, recorded);
  if (!enrolled) {
    journal.afterCommit(() => context.hints.due(request.lapsesAt));
    return { request, made: null };
  }
  const grant = await makeGrant(context, tx, journal, { request, terms: request, decisions: [], enrolled }, now);
  return { request: { ...request, state: 'granted', grant: grant.id }, made: { grant, now } };
}

/** Writes a new request and the fact of it. */
export async function submit(
  tx: Tx,
  journal: Journal,
  request: PendingRequest,
  profile: Profile,
  decisions: ReturnType<Journal['decision']>[],
): Promise<void> {
  const reason = journal.text(request.reason ?? '', request.requester);
  const ticket = journal.text(request.ticket, request.requester);
  insertRequest(tx, request, {
    longest: profile.longest,
    longestTotal: profile.longestTotal,
    policyDigest: decisions[0]!.policy,
    reason,
    ticket,
  });
  const { id, stages, scopes, dataClasses, devices, duration } = request;
  journal.fact(request.createdAt, request.tenant, {
    type: 'request.submitted',
    request: id,
    profile: profile.name,
    devices,
    scopes,
    dataClasses,
    duration,
    stages,
    startsAt: request.startsAt?.toISOString() ?? null,
    lapsesAt: request.lapsesAt.toISOString(),
    extends: request.extends,
    reason,
    ticket,
    decisions,
  });
}

/** A profile's stages, with the tenant's own teams in place. */
export function stagesOf(profile: Profile, tenantSlug: string): Stage[] {
  return profile.stages.map((stage) => ({ ...stage, from: stage.from.map((team) => teamFor(team, tenantSlug)) }));
}

/** Asks policy about each device. */
export async function decideUse(
  context: BrokerContext,
  tx: Tx,
  person: Caller,
  use: {
    readonly action: 'request' | 'start' | 'mint' | 'extend';
    readonly profile: Profile;
    readonly devices: readonly Device[];
    readonly wish: { readonly duration: number; readonly total?: number };
    readonly now: Date;
  },
): Promise<Decision[]> {
  const { action, profile, wish, now } = use;
  const reviewOverdue =
    profile.reviewWithin !== null && (await hasOverdueReview(tx, [...(await aliasesOf(tx, person.id))]));
  return use.devices.map((device) =>
    decide(context.policy(), {
      action,
      person,
      profile,
      device: { id: device.id, tenant: tenantFacts(device), facts: device.facts, inUse: device.inUse },
      duration: wish.duration,
      total: wish.total ?? wish.duration,
      reviewOverdue,
      now: now.getTime(),
    }),
  );
}

function seesAnyDevice(context: BrokerContext, caller: Caller): boolean {
  const { all, tenants } = seenBy(context, caller, 'devices');
  return all || tenants.length > 0;
}

/** Who may see no device at all has no part in asking: they are told that, and nothing of what exists. */
function refuseStranger(now: Date, journal: Journal, { name }: Profile): RecordedRefusal {
  journal.fact(now, null, {
    type: 'request.refused',
    action: 'request',
    subject: null,
    profile: name,
    devices: [],
    decisions: [],
  });
  return new RecordedRefusal(noPolicyPermits(`\`request\` with \`${name}\``));
}

/** The devices in the order asked for. @throws invalid-request naming the first that cannot be used. */
async function usableDevices(
  context: BrokerContext,
  tx: Tx,
  caller: Caller,
  ids: readonly DeviceId[],
): Promise<Device[]> {
  const found = new Map((await findDevices(tx, ids)).map((device) => [device.id, device]));
  const { all, tenants } = seenBy(context, caller, 'devices');
  const mistakes = ids.flatMap((id, index) => {
    const device = found.get(id);
    const visible = device && (all || tenants.includes(device.tenantSlug));
    const pointer = `/devices/${index}`;
    if (!visible) return [{ pointer, message: `there is no device \`${id}\`` }];
    if (device.unenrolledAt) return [{ pointer, message: `the device \`${id}\` is no longer enrolled` }];
    const first = found.get(ids[0]!);
    if (first && device.tenant !== first.tenant) return [{ pointer, message: 'all devices must be of one tenant' }];
    return [];
  });
  if (mistakes.length > 0) {
    throw new LatchkeyError('invalid-request', mistakes[0]!.message, { errors: mistakes });
  }
  return ids.map((id) => found.get(id)!);
}

function checkStart(startsAt: Date | null, now: Date): void {
  if (!startsAt) return;
  if (startsAt < now) throw invalid('/startsAt', 'lies in the past');
  if (startsAt.getTime() > now.getTime() + furthestStart) throw invalid('/startsAt', 'lies more than 90 days ahead');
}
