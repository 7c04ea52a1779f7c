import { unreachable } from '../domain/unreachable.ts';
import type { AccessRequest, Grant, Person, Stage } from './answers.ts';
import { isoDurationWords, relativeTime } from './text/time-words.ts';

// How requests and grants are put into words, wherever they are shown. Nothing here is neutralised yet.

/** Someone's name, or the id where the name was erased. */
export function personWords(person: Partial<Person> | null): string {
  return person?.name ?? person?.id ?? 'the broker';
}

/** `lead (1 of room-leads)`. */
export function stageWords({ name, from, needs }: Stage): string {
  return `${name} (${needs} of ${from.join(' or ')})`;
}

/** `lead: room-leads`, `lead: 2 of room-leads`. */
export function stageInShort({ name, from, needs }: Stage): string {
  return `${name}: ${needs === 1 ? '' : `${needs} of `}${from.join(' or ')}`;
}

/** Who must still agree; empty when nobody must. */
export function openStages(request: AccessRequest): AccessRequest['stages'] {
  return request.state === 'pending' ? request.stages.filter((s) => s.approvedBy.length < s.needs) : [];
}

/** What a request waits for, or what became of it, in one phrase. */
export function requestOutcome(request: AccessRequest, now: number): string {
  switch (request.state) {
    case 'pending':
      return `waiting for ${openStages(request).map(stageWords).join(' and ') || 'the broker'}`;
    case 'granted':
      return request.grant ? grantOutcome(request.grant, now) : 'granted';
    case 'denied': {
      const denial = request.decisions.find((decision) => decision.verdict === 'deny');
      return `denied by ${personWords(denial?.by ?? null)}${denial?.comment ? `: ${denial.comment}` : ''}`;
    }
    case 'cancelled':
      return 'cancelled';
    case 'lapsed':
      return `nobody decided in time, lapsed ${relativeTime(request.lapsesAt, now)}`;
    default:
      return unreachable(request.state);
  }
}

/** Until when a grant lasts, or how it ended, in one phrase. */
export function grantOutcome(grant: Grant, now: number): string {
  switch (grant.state) {
    case 'scheduled':
      return `starts ${relativeTime(grant.startsAt, now)}`;
    case 'active':
      return `ends ${relativeTime(grant.expiresAt, now)}`;
    case 'expired':
      return `ran out ${relativeTime(grant.endedAt ?? grant.expiresAt, now)}${unconfirmedWords(grant, ', ')}`;
    case 'revoked':
    case 'released': {
      const when = grant.endedAt ? ` ${relativeTime(grant.endedAt, now)}` : '';
      const by = grant.state === 'revoked' ? ` by ${personWords(grant.endedBy)}` : '';
      const why = grant.endReason ? `: ${grant.endReason}` : '';
      return `${grant.state}${by}${when}${unconfirmedWords(grant, ', ')}${why}`;
    }
    default:
      return unreachable(grant.state);
  }
}

/** How many sessions of an ended grant no device has called ended, after a separator; empty when there is none. */
export function unconfirmedWords({ state, sessions }: Grant, separator = ''): string {
  const isOver = state !== 'scheduled' && state !== 'active';
  return isOver && sessions?.open ? `${separator}${count(sessions.open, 'session')} not confirmed` : '';
}

/** How a grant that is over ended, by whom and when, in one phrase; null of one that is not over. */
export function endingWords(grant: Grant, now: number): string | null {
  const isOver = !['active', 'scheduled'].includes(grant.state) || now >= Date.parse(grant.expiresAt);
  if (!isOver) return null;
  const when = `${(grant.endedAt ?? grant.expiresAt).slice(0, 19).replace('T', ' ')} UTC`;
  if (grant.state !== 'revoked' && grant.state !== 'released') return `ran out at ${when}`;
  const by = grant.state === 'revoked' ? ` by ${personWords(grant.endedBy)}` : '';
  return `${grant.state}${by} at ${when}${grant.endReason ? `: ${grant.endReason}` : ''}`;
}

/** What an approval took away, in one phrase; empty when nothing. */
export function narrowWords(narrow: AccessRequest['decisions'][number]['narrow']): string {
  if (!narrow) return '';
  const parts = [
    narrow.duration && `for ${isoDurationWords(narrow.duration)}`,
    narrow.scopes && `only ${narrow.scopes.join(', ')}`,
    narrow.devices && `only on ${narrow.devices.join(', ')}`,
  ];
  return parts.filter(Boolean).join(', ');
}

/** `1 device`, `3 devices`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
