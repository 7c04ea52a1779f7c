import type { AccessRequest } from './answers.ts';
import type { Client } from './client.ts';
import { lookUpNames } from './device-names.ts';
import type { Printer } from './printer.ts';
import { neutralise } from './text/neutralise.ts';
import { paintState } from './text/paint.ts';
import { isoDurationWords, relativeTime } from './text/time-words.ts';
import { grantOutcome, narrowWords, openStages, personWords, requestOutcome, stageWords } from './words.ts';

/** Shows one request in full, with what to do next for whoever looks at it. */
export async function showRequest(printer: Printer, client: Client, request: AccessRequest, now: number) {
  if (printer.json) return;
  const names = await lookUpNames(client, request.devices);
  const state = paintState(printer.paint, request.state)(request.state);
  printer.line(`${printer.paint.strong(request.id)}  ${state}`);
  printer.facts([
    ['profile', request.profile],
    ['devices', request.devices.map((id) => (names(id) === id ? id : `${names(id)} (${id})`)).join(', ')],
    ['scopes', request.scopes.join(', ')],
    ['data', request.dataClasses.join(', ')],
    ['for', isoDurationWords(request.duration)],
    ['starts', request.startsAt && relativeTime(request.startsAt, now)],
    ['extends', request.extends],
    ['reason', [request.reason, request.ticket && `(${request.ticket})`].filter(Boolean).join(' ')],
    ['asked by', `${personWords(request.requester)}, ${relativeTime(request.createdAt, now)}`],
    ...request.decisions.map((decision): readonly [string, string] => [
      decision.stage,
      `${decision.verdict === 'approve' ? 'approved' : 'denied'} by ${personWords(decision.by)} ${[
        narrowWords(decision.narrow),
        decision.comment && `“${decision.comment}”`,
        relativeTime(decision.at, now),
      ]
        .filter(Boolean)
        .join(', ')}`,
    ]),
    ['waits for', openStages(request).map(stageWords).join(' and ')],
    ['lapses', request.state === 'pending' ? relativeTime(request.lapsesAt, now) : null],
    ['grant', request.grant && `${request.grant.id}, ${grantOutcome(request.grant, now)}`],
  ]);
}

/** One phrase for a live display: where the request stands. */
export function standing(request: AccessRequest, now: number): string {
  const until = request.state === 'pending' ? `, lapses ${relativeTime(request.lapsesAt, now)}` : '';
  return neutralise(`${request.state}: ${requestOutcome(request, now)}${until}`);
}

/** What someone can do once they have asked, or were given, something. */
export function nextSteps(printer: Printer, request: AccessRequest): void {
  if (request.state !== 'cancelled') printer.line();
  const step = (what: string, how: string): void =>
    printer.line(`  ${printer.paint.faint(`${what}:`.padEnd(15))} ${neutralise(how)}`);
  if (request.state === 'pending') {
    step('approve with', `latchkey approve ${request.id}`);
    step('follow it with', `latchkey requests ${request.id} --watch`);
    step('take it back', `latchkey cancel ${request.id}`);
  }
  if (request.state === 'granted' && request.grant) {
    const [device] = request.grant.devices;
    for (const scope of request.grant.scopes.slice(0, 1)) step('use it with', `latchkey run ${device} ${scope}`);
    step('or look inside', `latchkey connect ${device}`);
    step('give it back', `latchkey release ${request.grant.id}`);
  }
  if (request.state === 'denied' || request.state === 'lapsed') {
    step('ask again with', `latchkey request ${request.profile} ${request.devices.join(' ')} --for … --reason …`);
  }
}
