import type { PersonId } from '../../domain/ids.ts';
import type { Narrow, Terms } from '../../domain/terms.ts';
import type { Actor } from '../events.ts';
import { isMadeThen, type EventOf } from './events.ts';
import type { Humans } from './humans.ts';

interface OpenRequest extends Terms {
  readonly requester: PersonId;
  readonly profile: string;
  readonly stages: readonly { readonly name: string; readonly needs: number; readonly by: PersonId[] }[];
  readonly extends: string | null;
  readonly startsAt: string | null;
  readonly lapsesAt: string;
}

/** What a request was agreed to. */
export type Agreed = Pick<OpenRequest, 'requester' | 'profile' | 'extends' | 'startsAt'> & Terms;

type Ending = EventOf<'request.denied' | 'request.cancelled' | 'request.lapsed'>;

/**
 * Requests that wait, and the rules for them: who approves is not who asks, nobody approves twice, and what was decided
 * or has lapsed is decided. Every method returns what does not hold, or null.
 */
export class OpenRequests {
  readonly #open = new Map<string, OpenRequest>();
  readonly #humans: Humans;

  constructor(humans: Humans) {
    this.#humans = humans;
  }

  submitted(event: EventOf<'request.submitted'>): string | null {
    const requester = personOf(event.actor);
    if (!requester) return 'a request is a person’s';
    if (this.#open.has(event.request) || !isMadeThen(event.request, event)) {
      return `the request \`${event.request}\` was there before`;
    }
    const { profile, devices, scopes, duration, startsAt, lapsesAt } = event;
    const stages = event.stages.map(({ name, needs }) => ({ name, needs, by: [] }));
    const request = { requester, profile, devices, scopes, duration, stages, startsAt, lapsesAt };
    this.#open.set(event.request, { ...request, extends: event.extends });
    return null;
  }

  approved(event: EventOf<'request.approved'>): string | null {
    const { request: id, at } = event;
    const request = this.#open.get(id);
    if (!request) return notOpen(id);
    const approver = personOf(event.actor);
    if (!approver) return 'an approval is a person’s';
    if (at >= request.lapsesAt) return `the request \`${id}\` had lapsed`;
    if (this.#humans.isSame(approver, request.requester, at)) return `the request \`${id}\` is approved by who asked`;
    const stage = request.stages.find(({ name }) => name === event.stage);
    if (!stage) return `the request \`${id}\` has no stage \`${event.stage}\``;
    if (request.stages.some(({ by }) => by.some((other) => this.#humans.isSame(approver, other, at)))) {
      return `the request \`${id}\` is approved twice by one human`;
    }
    stage.by.push(approver);
    if (event.narrow) this.#open.set(id, { ...request, ...narrowed(request, event.narrow) });
    return null;
  }

  /** A request came to nothing. */
  ended(event: Ending): string | null {
    const request = this.#open.get(event.request);
    if (!request) return notOpen(event.request);
    const by = personOf(event.actor);
    if (event.type === 'request.cancelled' && by !== request.requester) return 'a request is cancelled by who asked';
    if (event.type === 'request.denied' && (!by || this.#humans.isSame(by, request.requester, event.at))) {
      return 'a request is denied by another person than who asked';
    }
    this.#open.delete(event.request);
    return null;
  }

  /** Takes the request away that something was given for. @returns what was agreed to, or why it was not. */
  take(id: string): Agreed | string {
    const request = this.#open.get(id);
    if (!request) return notOpen(id);
    const open = request.stages.find(({ needs, by }) => by.length < needs);
    if (open) return `the stage \`${open.name}\` of \`${id}\` has ${open.by.length} of ${open.needs} approvals`;
    this.#open.delete(id);
    return request;
  }
}

export function personOf(actor: Actor): PersonId | null {
  return actor.kind === 'person' ? actor.id : null;
}

function notOpen(id: string): string {
  return `the request \`${id}\` is not open: it was never made, or is decided`;
}

function narrowed(left: Terms, narrow: Narrow): Terms {
  const { devices, scopes, duration } = narrow;
  return {
    duration: Math.min(left.duration, duration ?? Infinity),
    devices: devices ? left.devices.filter((each) => devices.includes(each)) : left.devices,
    scopes: scopes ? left.scopes.filter((each) => scopes.includes(each)) : left.scopes,
  };
}
