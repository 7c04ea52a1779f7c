import { setTimeout as sleep } from 'node:timers/promises';
import type { AccessRequest, Page } from './answers.ts';
import type { Desk } from './desk.ts';
import { Failure } from './failure.ts';
import { neutralise } from './text/neutralise.ts';
import { isoDurationWords } from './text/time-words.ts';
import { personWords, requestOutcome } from './words.ts';

const pollMilliseconds = 2000;

/**
 * Stays until Ctrl-C and tells what changes in a list of requests: a line a change, with `--json` the request as it is
 * now, beginning with those that are there. One that leaves the list, as when somebody else has decided it, is looked
 * up and told once more. A broker that is away for a while is waited for.
 */
export async function watchRequests(
  { io, printer }: Desk,
  first: Page<AccessRequest>,
  read: () => Promise<Page<AccessRequest>>,
  readOne: (id: string) => Promise<AccessRequest>,
): Promise<void> {
  const known = new Map<string, string>();
  let reachable = true;
  for (const request of first.items.toReversed()) {
    printer.document(request);
    known.set(request.id, JSON.stringify(request));
  }
  printer.note('watching; Ctrl-C stops');
  while (!io.signal.aborted) {
    const page = await read().catch((thrown: unknown) => {
      if (io.signal.aborted) return null;
      if (!(thrown instanceof Failure) || thrown.kind !== 'unreachable') throw thrown;
      if (reachable) printer.failure(thrown);
      reachable = false;
      return null;
    });
    if (page && !reachable) printer.note('the broker is back');
    reachable ||= page !== null;
    for (const request of page ? await changed(page) : []) {
      printer.document(request);
      printer.line(changeLine(request, known.has(request.id), io.now()));
      if (page?.items.some(({ id }) => id === request.id)) known.set(request.id, JSON.stringify(request));
      else known.delete(request.id);
    }
    await sleep(pollMilliseconds, undefined, { signal: io.signal }).catch(() => undefined);
  }

  async function changed(page: Page<AccessRequest>): Promise<readonly AccessRequest[]> {
    const there = page.items.toReversed().filter((request) => known.get(request.id) !== JSON.stringify(request));
    // When the list was cut short, what is missing from it may only have moved out of sight.
    if (page.next !== null) return there;
    const left = [...known.keys()].filter((id) => !page.items.some((request) => request.id === id));
    const gone = await Promise.all(left.map((id) => readOne(id).catch(() => null)));
    return [...there, ...gone.filter((request) => request !== null)];
  }
}

function changeLine(request: AccessRequest, wasKnown: boolean, now: number): string {
  const at = new Date(now).toTimeString().slice(0, 8);
  const what = wasKnown
    ? `${request.state}: ${requestOutcome(request, now)}`
    : `new from ${personWords(request.requester)}: ${request.profile} for ${isoDurationWords(request.duration)}, ` +
      `“${request.reason ?? ''}”, ${requestOutcome(request, now)}`;
  return neutralise(`${at}  ${request.id}  ${what}`);
}
