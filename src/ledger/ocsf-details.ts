import { isId, type GrantId } from '../domain/ids.ts';
import { unreachable } from '../domain/unreachable.ts';
import type { Actor, LedgerEvent } from './events.ts';
import type { ClassUid } from './ocsf-classes.ts';

/** Whom a grant is for, on what: as the event says by which it began or was scheduled. */
export interface GrantSubject {
  readonly person: string;
  readonly devices: readonly string[];
  readonly scopes: readonly string[];
}

type Attributes = Readonly<Record<string, unknown>>;

/** The grant that an event is about without saying whose it is; null when it says so itself, or is about none. */
export function grantToLookUp(event: LedgerEvent): GrantId | null {
  if (!('grant' in event) || 'person' in event || event.type === 'review.completed') return null;
  return event.grant;
}

/** What the class of an event requires beyond the base, and what of the event no class has a place for. */
export function ocsfDetails(
  classUid: ClassUid,
  event: LedgerEvent,
  grant: GrantSubject | null,
): { readonly actor: Attributes; readonly unmapped: Attributes; readonly [attribute: string]: unknown } {
  const claims = 'statement' in event ? claimsOf(event.statement) : {};
  const fact = { ...plain(claims), ...plain(event) };
  const person = textOf(fact['person']) ?? grant?.person ?? null;
  const session = textOf(fact['session']);
  const base = { resources: resourcesOf(fact, grant), unmapped: fact };
  switch (classUid) {
    case 3005:
      return { ...base, actor: actorOf(event.actor), user: userOf(person), privileges: scopesOf(fact, grant) };
    case 3003:
      return {
        ...base,
        actor: actorOf(event.actor),
        user: userOf(person),
        privileges: scopesOf(fact, grant),
        ...(session !== null && { session: { uid: session } }),
        dst_endpoint: { uid: event.actor.id },
      };
    case 6003:
      return {
        ...base,
        actor: {
          ...actorOf(event.actor),
          // A device tells of what somebody does on it.
          ...(event.type === 'action.performed' && {
            user: userOf(person),
            ...(session && { session: { uid: session } }),
          }),
        },
        api: { operation: event.type, service: { name: 'latchkey' }, version: '1' },
        // Networks are not in the ledger: what is known of where a call came from is who made it.
        src_endpoint: { uid: event.actor.id },
      };
    default:
      return unreachable(classUid);
  }
}

/** Members that are in the base already, or that say nothing to whoever has only this event. */
const left = new Set(['v', 'id', 'type', 'at', 'region', 'tenant', 'actor', 'decision', 'decisions', 'statement']);

function plain(members: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([name, value]) => !left.has(name) && value !== null));
}

/** What is passed on of a device's statement. The device writes it, so whatever else it says stays in the ledger. */
const stated = [
  'person',
  'session',
  'scope',
  'scopes',
  'code',
  'cause',
  'lagMs',
  'exit',
  'durationMs',
  'bytes',
  'credential',
  'credentialId',
  'receiptIndex',
];

/** What a device stated, as the broker checked it when it took it in; nothing for what cannot be read. */
function claimsOf(statement: string): Attributes {
  try {
    const claims = JSON.parse(Buffer.from(statement.split('.')[1]!, 'base64url').toString('utf8')) as Attributes;
    return Object.fromEntries(stated.flatMap((name) => (Object.hasOwn(claims, name) ? [[name, claims[name]]] : [])));
  } catch {
    return {};
  }
}

function actorOf(actor: Actor): Attributes {
  switch (actor.kind) {
    case 'person':
      return { user: userOf(actor.id) };
    case 'device':
      return { app_uid: actor.id, app_name: 'latchkey agent' };
    case 'broker':
      return { app_uid: actor.id, app_name: 'latchkey' };
    default:
      return unreachable(actor);
  }
}

function userOf(person: string | null): Attributes {
  return person === null ? { uid: 'unknown', type_id: 0, type: 'Unknown' } : { uid: person, type_id: 1, type: 'User' };
}

function scopesOf(fact: Attributes, grant: GrantSubject | null): readonly string[] {
  return textsOf(fact['scopes']) ?? grant?.scopes ?? [];
}

/** Everything with an id of its own that the event is about, persons aside. */
function resourcesOf(fact: Attributes, grant: GrantSubject | null): readonly Attributes[] {
  const devices = textsOf(fact['devices']) ?? [textOf(fact['device'])].filter((id) => id !== null);
  const found: [kind: 'request' | 'grant' | 'device', uid: unknown][] = [
    ['request', fact['request']],
    ['grant', fact['grant']],
    ...(devices.length > 0 ? devices : (grant?.devices ?? [])).map((uid): ['device', string] => ['device', uid]),
  ];
  return found.flatMap(([kind, uid]) => (isId(kind, uid) ? [{ uid, type: kind }] : []));
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function textsOf(value: unknown): readonly string[] | null {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : null;
}
