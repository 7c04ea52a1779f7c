import { unreachable } from '../../domain/unreachable.ts';
import type { LedgerEvent } from '../events.ts';
import { LiveGrants } from './grants.ts';
import { Humans } from './humans.ts';
import { RotatedKeys } from './keys.ts';
import { OpenRequests } from './requests.ts';
import { Secrets } from './secrets.ts';
import { Sessions } from './sessions.ts';

/**
 * The rules between events, checked as they come by. What is remembered is what is still open: requests that wait,
 * grants that live, and a bounded number of credentials.
 */
export class Rules {
  readonly #humans = new Humans();
  readonly #keys = new RotatedKeys();
  readonly #requests = new OpenRequests(this.#humans);
  readonly #grants = new LiveGrants(this.#requests);
  readonly #secrets = new Secrets();
  readonly sessions = new Sessions();

  /** @returns what does not hold, in one sentence, or null. */
  check(index: number, event: LedgerEvent): string | null {
    switch (event.type) {
      case 'request.submitted':
        return this.#requests.submitted(event);
      case 'request.approved':
        return this.#requests.approved(event);
      case 'request.denied':
      case 'request.cancelled':
      case 'request.lapsed':
        return this.#requests.ended(event);
      case 'grant.scheduled':
      case 'grant.started':
        return this.#grants.started(event);
      case 'grant.extended':
        return this.#grants.extended(event);
      case 'grant.expired':
      case 'grant.revoked':
      case 'grant.released':
        return this.#grants.ended(event);
      case 'credential.issued':
        this.sessions.issued(event);
        return this.#grants.issued(event);
      case 'secret.prepared':
        return this.#secrets.prepared(event);
      case 'secret.released':
        return this.#grants.secretReleased(event) ?? this.#secrets.released(event);
      case 'secret.rotated':
        return this.#secrets.rotated(event);
      case 'session.started':
      case 'session.refused':
      case 'session.ended':
      case 'action.performed':
        return this.sessions.stated(index, event);
      case 'alarm.raised':
        this.sessions.raised(event);
        return null;
      case 'person.linked':
        this.#humans.link(event);
        return null;
      case 'key.rotated':
        return this.#keys.rotated(event);
      // These stand for themselves.
      case 'request.refused':
      case 'device.enrolled':
      case 'device.unenrolled':
      case 'tenant.changed':
      case 'enrolment-code.made':
      case 'person.erased':
      case 'policy.loaded':
      case 'review.completed':
      case 'alarm.closed':
      case 'ledger.rollback-accepted':
        return null;
      default:
        return unreachable(event);
    }
  }
}
