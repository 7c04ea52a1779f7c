import type { Grant } from './answers.ts';
import type { Client } from './client.ts';
import { lookUpNames } from './device-names.ts';
import type { Printer } from './printer.ts';
import { paintState } from './text/paint.ts';
import { relativeTime } from './text/time-words.ts';
import { grantOutcome, personWords } from './words.ts';

/** Shows one grant in full. */
export async function showGrant(printer: Printer, client: Client, grant: Grant, now: number): Promise<void> {
  if (printer.json) return;
  const names = await lookUpNames(client, grant.devices);
  const state = paintState(printer.paint, grant.state)(grant.state);
  printer.line(`${printer.paint.strong(grant.id)}  ${state}`);
  printer.facts([
    ['profile', grant.profile],
    ['devices', grant.devices.map((id) => (names(id) === id ? id : `${names(id)} (${id})`)).join(', ')],
    ['scopes', grant.scopes.join(', ')],
    ['holder', personWords(grant.person)],
    ['lasts', grantOutcome(grant, now)],
    ['sessions', sessionWords(grant)],
    ['request', grant.request],
    ['review', reviewWords(grant, now)],
  ]);
}

/** Nothing is called ended before its device has said so. */
function sessionWords({ state, sessions }: Grant): string | null {
  if (!sessions || (sessions.open === 0 && sessions.confirmed === 0)) return null;
  const open = state === 'active' ? 'open' : 'not confirmed';
  return [
    ...(sessions.open > 0 ? [`${sessions.open} ${open}`] : []),
    ...(sessions.confirmed > 0 ? [`${sessions.confirmed} ended`] : []),
  ].join(', ');
}

function reviewWords({ review }: Grant, now: number): string | null {
  if (!review) return null;
  if (review.state === 'done') return `${review.verdict ?? 'done'}, by ${personWords(review.by)}`;
  return `${review.state} ${relativeTime(review.dueAt, now)}`;
}
