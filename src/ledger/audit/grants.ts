import { localAdminScope } from '../../domain/local-admin.ts';
import { isMadeThen, isWithin, type EventOf } from './events.ts';
import { personOf, type OpenRequests } from './requests.ts';

interface KnownGrant {
  readonly request: string;
  readonly person: string;
  readonly devices: readonly string[];
  readonly scopes: readonly string[];
  readonly startsAt: string;
  readonly expiresAt: string;
  readonly begun: boolean;
}

type Start = EventOf<'grant.started' | 'grant.scheduled'>;
type End = EventOf<'grant.expired' | 'grant.revoked' | 'grant.released'>;

/** The longest that a credential may live, in seconds (contract §6). */
const longestCredential = 600;

/**
 * Grants that have not ended, and the rules for them: each has its agreed request, credentials lie within their grant,
 * and after an end there is nothing. A grant that has ended is forgotten: whatever still speaks of it as live is an
 * offence just because it is not there. Every method returns what does not hold, or null.
 */
export class LiveGrants {
  readonly #live = new Map<string, KnownGrant>();
  readonly #requests: OpenRequests;

  constructor(requests: OpenRequests) {
    this.#requests = requests;
  }

  started(event: Start): string | null {
    const known = this.#live.get(event.grant);
    const wrong = known ? findChange(event, known) : this.#findUnagreed(event);
    if (wrong) return wrong;
    const { request, person, devices, scopes, startsAt, expiresAt } = event;
    const begun = event.type === 'grant.started';
    this.#live.set(event.grant, { request, person, devices, scopes, startsAt, expiresAt, begun });
    return null;
  }

  /** Holds a new grant against what its request was agreed to. */
  #findUnagreed(event: Start): string | null {
    const agreed = this.#requests.take(event.request);
    if (typeof agreed === 'string') return agreed;
    const { grant, startsAt, expiresAt, at } = event;
    if (!isMadeThen(grant, event)) return `the grant \`${grant}\` was there before`;
    if (agreed.extends !== null)
      return `\`${event.request}\` asks for more time on \`${agreed.extends}\`, for no grant`;
    if (event.person !== agreed.requester) return `the grant \`${grant}\` is not for who asked`;
    if (event.profile !== agreed.profile) return `the grant \`${grant}\` is of another profile than was asked for`;
    const within = isWithin(event.devices, agreed.devices) && isWithin(event.scopes, agreed.scopes);
    if (!within) return `the grant \`${grant}\` is for more than was agreed`;
    const length = Date.parse(expiresAt) - Date.parse(startsAt);
    if (length <= 0 || length > agreed.duration * 1000) return `the grant \`${grant}\` lasts longer than was agreed`;
    if (agreed.startsAt !== null && startsAt < agreed.startsAt) return `the grant \`${grant}\` begins before it was to`;
    const inTime = event.type === 'grant.started' ? startsAt <= at : startsAt > at;
    return inTime ? null : `the grant \`${grant}\` does not begin when it says`;
  }

  extended(event: EventOf<'grant.extended'>): string | null {
    const { grant, from, to, at } = event;
    const known = this.#live.get(grant);
    if (!known) return notLive(grant);
    if (from !== known.expiresAt || at >= from || at < known.startsAt) return `the grant \`${grant}\` did not end then`;
    const agreed = this.#requests.take(event.request);
    if (typeof agreed === 'string') return agreed;
    if (agreed.extends !== grant) return `\`${event.request}\` asks for no more time on \`${grant}\``;
    if (agreed.requester !== known.person) return `more time on \`${grant}\` was not asked for by its holder`;
    const gained = Date.parse(to) - Date.parse(from);
    if (gained <= 0 || gained > agreed.duration * 1000) return `\`${grant}\` is extended by more than was agreed`;
    this.#live.set(grant, { ...known, expiresAt: to });
    return null;
  }

  ended(event: End): string | null {
    const { grant, at } = event;
    const known = this.#live.get(grant);
    if (!known) return notLive(grant);
    const byClock = event.type === 'grant.expired';
    if (byClock !== at >= known.expiresAt) return `the grant \`${grant}\` ends by its clock at \`${known.expiresAt}\``;
    if (byClock && event.expiresAt !== known.expiresAt) return `the grant \`${grant}\` did not end then`;
    const byPerson = event.type === 'grant.released' || (event.type === 'grant.revoked' && event.cause === 'person');
    if (byPerson !== (personOf(event.actor) !== null)) return `the end of \`${grant}\` is not by whom it says`;
    this.#live.delete(grant);
    return null;
  }

  issued(event: EventOf<'credential.issued'>): string | null {
    const { grant, at, iat, nbf, exp } = event;
    const known = this.#live.get(grant);
    if (!known) return notLive(grant);
    if (at < known.startsAt || at >= known.expiresAt) return `the grant \`${grant}\` was not in force then`;
    if (event.person !== known.person || personOf(event.actor) !== known.person) {
      return `the credential is not its holder’s: \`${grant}\` is \`${known.person}\`’s`;
    }
    if (!known.devices.includes(event.device)) return `the grant \`${grant}\` is not for \`${event.device}\``;
    if (!isWithin(event.scopes, known.scopes)) return `the credential allows more than its grant \`${grant}\``;
    if (exp * 1000 > Date.parse(known.expiresAt)) return `the credential outlives its grant \`${grant}\``;
    if (exp <= iat || exp - iat > longestCredential) return 'the credential does not live for minutes';
    const moment = Math.floor(Date.parse(at) / 1000);
    if (iat !== moment || nbf !== moment) return 'the credential was not issued when it says';
    return isMadeThen(event.jti, event) ? null : `the credential \`${event.jti}\` was there before`;
  }

  /** Holds a password that was given out against its grant, as a credential. */
  secretReleased(event: EventOf<'secret.released'>): string | null {
    const { grant, at } = event;
    const known = this.#live.get(grant);
    if (!known) return notLive(grant);
    if (at < known.startsAt || at >= known.expiresAt) return `the grant \`${grant}\` was not in force then`;
    if (event.person !== known.person || personOf(event.actor) !== known.person) {
      return `the secret is not given to its holder: \`${grant}\` is \`${known.person}\`’s`;
    }
    if (!known.devices.includes(event.device)) return `the grant \`${grant}\` is not for \`${event.device}\``;
    return known.scopes.includes(localAdminScope) ? null : `the grant \`${grant}\` allows no secret`;
  }
}

/** A scheduled grant begins once, and as it was agreed; some of its devices may have left it since. */
function findChange(event: Start, known: KnownGrant): string | null {
  const { grant } = event;
  if (event.type === 'grant.scheduled' || known.begun) return `the grant \`${grant}\` was there before`;
  const same = (['request', 'person', 'startsAt', 'expiresAt'] as const).every((name) => event[name] === known[name]);
  if (!same) return `the grant \`${grant}\` is not the one that was scheduled`;
  const within = isWithin(event.devices, known.devices) && isWithin(event.scopes, known.scopes);
  if (!within) return `the grant \`${grant}\` is for more than was scheduled`;
  if (event.at < known.startsAt || event.at >= known.expiresAt)
    return `the grant \`${grant}\` does not begin when it says`;
  return null;
}

function notLive(grant: string): string {
  return `the grant \`${grant}\` is not live: it was never given, or has ended`;
}
