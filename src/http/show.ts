import { endedAt, reviewState, type Grant } from '../domain/grant.ts';
import { formatDuration } from '../domain/duration.ts';
import type { Outcome } from '../broker/make-grant.ts';
import type { GrantId, PersonId } from '../domain/ids.ts';
import { approvedBy, type AccessRequest } from '../domain/request.ts';
import type { Alarm } from '../store/alarms.ts';
import type { Device } from '../store/devices.ts';
import { findGrants, type StoredGrant } from '../store/grants.ts';
import type { Notice, NoticeKind } from '../store/notices.ts';
import { namesOf } from '../store/persons.ts';
import type { SessionRow } from '../store/sessions.ts';
import type { Runner } from '../store/transaction.ts';

/** How things look in answers (contract §4 and §5). */

type Names = ReadonlyMap<PersonId, string>;
const person = (id: PersonId, names: Names): { id: PersonId; name: string | null } => ({
  id,
  name: names.get(id) ?? null,
});

/** What need not be looked up. */
interface Known {
  readonly names?: Names;
  readonly made?: Outcome['made'];
}

const noSessions = { open: 0, confirmed: 0, lastEndedAt: null };

/** Requests as the API shows them; each that was granted with its whole grant. */
export async function showRequests(
  runner: Runner,
  requests: readonly AccessRequest[],
  { names: known = new Map(), made = null }: Known = {},
): Promise<object[]> {
  const granted = requests.flatMap((request) => (request.state === 'granted' ? [request.grant] : []));
  const unread = granted.filter((id) => id !== made?.grant.id);
  const theirs = requests.flatMap((r) => [r.requester, ...r.decisions.map((d) => d.by)]);
  const [stored, told] = await Promise.all([findGrants(runner, unread), addNames(runner, theirs, known)]);
  const grants = new Map<GrantId, ShownGrant>(stored.map((each) => [each.grant.id, each]));
  if (made) grants.set(made.grant.id, { ...made, sessions: noSessions });
  const names = await addNames(
    runner,
    [...grants.values()].flatMap(({ grant }) => personsOf(grant)),
    told,
  );
  return requests.map((request) => {
    const granted = request.state === 'granted' ? grants.get(request.grant) : undefined;
    return {
      id: request.id,
      state: request.state,
      profile: request.profile,
      tenant: request.tenant,
      devices: request.devices,
      duration: formatDuration(request.duration),
      scopes: request.scopes,
      dataClasses: request.dataClasses,
      reason: request.reason,
      ticket: request.ticket,
      requester: person(request.requester, names),
      createdAt: request.createdAt,
      startsAt: request.startsAt,
      lapsesAt: request.lapsesAt,
      extends: request.extends,
      stages: request.stages.map(({ name, from, needs }) => ({
        name,
        from,
        needs,
        approvedBy: approvedBy(request, name).map((id) => person(id, names)),
      })),
      decisions: request.decisions.map((d) => ({
        by: person(d.by, names),
        verdict: d.verdict,
        stage: d.stage,
        comment: d.comment,
        narrow: d.narrow && {
          ...d.narrow,
          ...(d.narrow.duration !== undefined && { duration: formatDuration(d.narrow.duration) }),
        },
        at: d.at,
      })),
      grant: granted ? showGrant(granted, names) : null,
    };
  });
}

/** One request as the API shows it. */
export async function showRequest(runner: Runner, request: AccessRequest, known?: Known): Promise<object> {
  const [shown] = await showRequests(runner, [request], known);
  return shown!;
}

/** The names that are known, and those of these persons. */
async function addNames(runner: Runner, persons: readonly PersonId[], known: Names): Promise<Names> {
  const unknown = persons.filter((id) => !known.has(id));
  return unknown.length > 0 ? new Map([...known, ...(await namesOf(runner, unknown))]) : known;
}

/** Grants as the API shows them. */
export async function showGrants(runner: Runner, grants: readonly StoredGrant[]): Promise<object[]> {
  const names = await namesOf(
    runner,
    grants.flatMap(({ grant }) => personsOf(grant)),
  );
  return grants.map((grant) => showGrant(grant, names));
}

function personsOf(grant: Grant): PersonId[] {
  return [grant.person, grant.ending?.by, grant.review?.by].filter((id) => id !== null && id !== undefined);
}

type ShownGrant = Pick<StoredGrant, 'grant' | 'sessions' | 'now'>;

function showGrant({ grant, sessions, now }: ShownGrant, names: Names): object {
  const { review, ending } = grant;
  const { open, confirmed } = sessions;
  return {
    id: grant.id,
    request: grant.request,
    state: grant.state,
    person: person(grant.person, names),
    tenant: grant.tenant,
    profile: grant.profile,
    devices: grant.devices,
    scopes: grant.scopes,
    startsAt: grant.startsAt,
    expiresAt: grant.expiresAt,
    endedAt: endedAt(grant),
    endedBy: ending?.by ? person(ending.by, names) : null,
    endReason: ending?.reason ?? null,
    review: review && {
      state: reviewState(review, now),
      dueAt: review.dueAt,
      by: review.by && person(review.by, names),
      verdict: review.verdict,
    },
    sessions: { open, confirmed },
    confirmedEndedAt: confirmedEndedAt(endedAt(grant), sessions),
  };
}

/** Nothing is called ended at the devices before each of them has said so. */
function confirmedEndedAt(end: Date | null, { open, lastEndedAt }: StoredGrant['sessions']): Date | null {
  if (!end || open > 0) return null;
  return lastEndedAt && lastEndedAt > end ? lastEndedAt : end;
}

/** A device as the API shows it. */
export function showDevice(device: Device): object {
  const { id, tenant, name, facts, inUse, lastSeenAt, enrolledAt, unenrolledAt } = device;
  const state = unenrolledAt ? 'unenrolled' : 'enrolled';
  return { id, tenant, name, state, facts, door: device.door, inUse, lastSeenAt, enrolledAt };
}

/** A session as the API shows it. */
export function showSession(session: SessionRow, names: Names): object {
  const { id, device, grant, scopes, startedAt, endedAt, endCause, unconfirmed } = session;
  const state = endedAt ? 'ended' : unconfirmed ? 'unconfirmed' : 'open';
  return {
    id,
    device,
    grant,
    person: person(session.person, names),
    scopes,
    state,
    startedAt,
    endedAt,
    cause: endCause,
  };
}

export function showAlarm({ id, kind, subject, grant, since, closedAt }: Alarm): object {
  return { id, kind, subject, grant, since, closedAt };
}

const noticeTexts: Record<NoticeKind, (subject: string) => string> = {
  'break-glass-scheduled': (grant) => `break-glass access will be taken: ${grant} is scheduled`,
  'break-glass-used': (grant) => `break-glass access was taken: ${grant} wants a review`,
  'another-key-refused': (grant) => `a credential for ${grant} was asked for with another key than yours, and refused`,
  'grant-revoked': (grant) => `${grant} was revoked`,
  'request-decided': (request) => `${request} was decided`,
  'review-overdue': (grant) => `the review of ${grant} is overdue`,
};

export function showNotice({ id, kind, subject, at }: Notice): object {
  return { id, kind, subject, at, text: noticeTexts[kind](subject) };
}
