import { idPattern, type IdKind } from '../../domain/ids.ts';
import { localAdmin } from '../../domain/local-admin.ts';
import { rotationCauses, type Fact } from '../events.ts';
import type { FactOf } from './events.ts';

type Check = (value: unknown) => boolean;
interface Member {
  readonly name: string;
  readonly check: Check;
  readonly optional?: boolean;
}
type Members<T> = { readonly [M in Exclude<keyof FactOf<T>, 'type'>]-?: Check };
/** Members that only some events of a type have. */
const optional = new Set(['key.rotated until', 'key.rotated statement']);

const anyId = /^(?!per_)[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const personInside = /per_[0-7][0-9a-hjkmnp-tv-z]{25}/;
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const hash = /^[A-Za-z0-9_-]{43}$/;
const longestWord = 200;

const matches =
  (pattern: RegExp): Check =>
  (value) =>
    typeof value === 'string' && pattern.test(value);
const id = (kind: IdKind): Check => matches(idPattern(kind));
const nullable =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
/** An object of just these members, in the order that canonical JSON gives them; those in `optional` may be absent. */
const record = (members: Readonly<Record<string, Check>>, optional: readonly string[] = []): Check => {
  const sorted = inOrder(members);
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    let next = 0;
    for (const name in value) {
      while (next < sorted.length && sorted[next]!.name !== name && optional.includes(sorted[next]!.name)) next++;
      const member = sorted[next++];
      if (member?.name !== name || !member.check((value as Readonly<Record<string, unknown>>)[name])) return false;
    }
    return sorted.slice(next).every(({ name }) => optional.includes(name));
  };
};
const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    typeof value === 'string' && words.includes(value);

/** The name of a thing, never of a person: short, and with no person's id in it. */
const word: Check = (value) => typeof value === 'string' && value.length <= longestWord && !personInside.test(value);
const text: Check = (value) => typeof value === 'string';
const time = matches(instant);
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const flag: Check = (value) => typeof value === 'boolean';
const commitment = matches(hash);
/** What somebody's words or a decision are about: anything that has an id, but no person. */
const thing = matches(anyId);
const person = id('person');
const devices = list(id('device'));
const words = list(word);

/** A key's thumbprint, or a verifier key: the broker's own, never a person's. */
const keyName: Check = (value) => typeof value === 'string' && value.length <= 400 && !personInside.test(value);

const decision = record({ policy: word, policies: words, inputs: commitment });
const decisions = list(decision);
const stage = record({ name: word, from: words, needs: count });
const narrow = record({ duration: count, scopes: words, devices }, ['duration', 'scopes', 'devices']);

const terms = {
  grant: id('grant'),
  request: id('request'),
  person,
  profile: word,
  devices,
  scopes: words,
  startsAt: time,
  expiresAt: time,
};
const said = { request: id('request'), stage: word, comment: nullable(commitment), narrow: nullable(narrow), decision };
const statement = {
  device: id('device'),
  session: nullable(id('session')),
  grant: nullable(id('grant')),
  statement: text,
};

/** What each type of event holds, and nothing else: there is no place for a name, a reason or a secret. */
const facts: { readonly [T in Fact['type']]: Members<T> } = {
  'request.submitted': {
    request: id('request'),
    profile: word,
    devices,
    scopes: words,
    dataClasses: words,
    duration: count,
    stages: list(stage),
    startsAt: nullable(time),
    lapsesAt: time,
    extends: nullable(id('grant')),
    reason: commitment,
    ticket: nullable(commitment),
    decisions,
  },
  'request.refused': { action: word, subject: nullable(thing), profile: nullable(word), devices, decisions },
  'request.approved': said,
  'request.denied': said,
  'request.cancelled': { request: id('request') },
  'request.lapsed': { request: id('request') },
  'grant.scheduled': terms,
  'grant.started': { ...terms, decisions },
  'grant.extended': { grant: id('grant'), request: id('request'), from: time, to: time },
  'grant.expired': { grant: id('grant'), expiresAt: time },
  'grant.revoked': {
    grant: id('grant'),
    reason: nullable(commitment),
    cause: oneOf('person', 'policy', 'devices-gone'),
    decision: nullable(decision),
  },
  'grant.released': { grant: id('grant') },
  'credential.issued': {
    credential: commitment,
    jti: id('credential'),
    grant: id('grant'),
    device: id('device'),
    person,
    scopes: words,
    iat: count,
    nbf: count,
    exp: count,
    decision: commitment,
  },
  'session.started': statement,
  'session.refused': statement,
  'session.ended': statement,
  'action.performed': statement,
  'secret.prepared': { device: id('device'), secret: oneOf(localAdmin), generation: count, commitment },
  'secret.released': {
    grant: id('grant'),
    device: id('device'),
    person,
    secret: oneOf(localAdmin),
    generations: list(count),
    decision: commitment,
  },
  'secret.rotated': { device: id('device'), secret: oneOf(localAdmin), generation: count, statement: text },
  'device.enrolled': { device: id('device'), enrolledBy: person },
  'device.unenrolled': { device: id('device'), erased: flag },
  'tenant.changed': { slug: word, change: oneOf('made', 'renamed') },
  'enrolment-code.made': { expiresAt: time },
  'person.linked': { person, other: person },
  'person.erased': { person },
  'policy.loaded': { policy: word },
  'key.rotated': {
    key: oneOf('credential', 'statement', 'ledger'),
    from: keyName,
    to: keyName,
    cause: oneOf(...rotationCauses),
    withdrawn: list(keyName),
    until: time,
    statement: text,
  },
  'review.completed': {
    grant: id('grant'),
    verdict: oneOf('justified', 'unjustified'),
    comment: nullable(commitment),
    decision,
  },
  'alarm.raised': { alarm: id('alarm'), kind: word, subject: thing },
  'alarm.closed': { alarm: id('alarm') },
  'ledger.rollback-accepted': { from: count, to: count },
};

const [aPerson, aDevice, theBroker] = [
  record({ kind: oneOf('person'), id: person }),
  record({ kind: oneOf('device'), id: id('device') }),
  record({ kind: oneOf('broker'), id: oneOf('broker') }),
];
const actor: Check = (value) => aPerson(value) || aDevice(value) || theBroker(value);

const everyEvent: Readonly<Record<string, Check>> = {
  v: (value) => value === 1,
  id: id('event'),
  type: text,
  at: time,
  region: word,
  tenant: nullable(id('tenant')),
  actor,
};

const shapes = new Map<string, readonly Member[]>(
  Object.entries(facts).map(([type, members]) => [
    type,
    inOrder({ ...everyEvent, ...members }).map((member) => ({
      ...member,
      optional: optional.has(`${type} ${member.name}`),
    })),
  ]),
);
const base = inOrder(everyEvent);

function inOrder(members: Readonly<Record<string, Check>>): readonly Member[] {
  const sorted = Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([name, check]) => ({ name, check }));
}

/** An event has the members of its type and no others: its type is known here, or only what all events share is. */
export interface Shaped {
  readonly known: boolean;
  /** The first member that is missing, foreign or not as it should be; null when there is none. */
  readonly wrong: string | null;
}

/** Holds an event that was read from canonical JSON, whose members are therefore in order, against what its type has. */
export function shapeOf(event: Readonly<Record<string, unknown>>): Shaped {
  const shape = typeof event.type === 'string' ? shapes.get(event.type) : undefined;
  const known = shape !== undefined;
  const members = shape ?? base;
  let next = 0;
  for (const name in event) {
    while (members[next]?.optional === true && members[next]?.name !== name) next++;
    const member = members[next];
    if (member?.name === name) {
      if (!member.check(event[name])) return { known, wrong: name };
      next++;
    } else if (known) {
      // A name that sorts after the expected one stands where that one is missing.
      return { known, wrong: member !== undefined && member.name < name ? member.name : name };
    }
  }
  return { known, wrong: members.slice(next).find((member) => !member.optional)?.name ?? null };
}
