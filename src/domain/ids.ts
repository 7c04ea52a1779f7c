import { randomBytes } from './random.ts';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** Every kind of thing that has an id, and the prefix its ids carry. */
export const idPrefixes = {
  tenant: 'ten',
  device: 'dev',
  person: 'per',
  request: 'req',
  grant: 'grt',
  credential: 'crd',
  session: 'ses',
  event: 'evt',
  alarm: 'alr',
  notice: 'ntc',
} as const;

export type IdKind = keyof typeof idPrefixes;

/** A TypeID: the kind's prefix, an underscore and a base32 UUIDv7, so that ids of one kind sort by time. */
export type Id<K extends IdKind> = string & { readonly __kind: K };

export type TenantId = Id<'tenant'>;
export type DeviceId = Id<'device'>;
export type PersonId = Id<'person'>;
export type RequestId = Id<'request'>;
export type GrantId = Id<'grant'>;
export type CredentialId = Id<'credential'>;
export type SessionId = Id<'session'>;
export type EventId = Id<'event'>;
export type AlarmId = Id<'alarm'>;
export type NoticeId = Id<'notice'>;

/** The millisecond of the last id and a counter within it. */
let last = { milliseconds: -1, counter: 0 };
const counters = 4_096;

/**
 * Makes a fresh id: 48 bits of milliseconds, a counter of 12 bits so that ids of one process and one millisecond sort
 * as they were made, 62 random bits (RFC 9562 §5.7, §6.2 method 1).
 * @param milliseconds since the epoch; the only clock an id ever sees.
 */
export function newId<K extends IdKind>(kind: K, milliseconds: number): Id<K> {
  const bytes = randomBytes(16);
  // Begins low, so that there is room to count; beyond it the order within the millisecond is lost, never uniqueness.
  const counter = last.milliseconds === milliseconds ? (last.counter + 1) % counters : bytes[7]!;
  last = { milliseconds, counter };
  let time = milliseconds;
  for (let i = 5; i >= 0; i--) {
    bytes[i] = time % 256;
    time = Math.floor(time / 256);
  }
  bytes[6] = 0x70 | (counter >> 8);
  bytes[7] = counter & 0xff;
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return `${idPrefixes[kind]}_${encode(bytes)}` as Id<K>;
}

/** True when the text is a well-formed id of that kind. Says nothing about whether the thing exists. */
export function isId<K extends IdKind>(kind: K, text: unknown): text is Id<K> {
  return typeof text === 'string' && idPattern(kind).test(text);
}

/** The pattern an id of that kind matches: 26 base32 letters of which the first holds only three bits. */
export function idPattern(kind: IdKind): RegExp {
  return (patterns[kind] ??= new RegExp(`^${idPrefixes[kind]}_[0-7][0-9a-hjkmnp-tv-z]{25}$`));
}
const patterns: Partial<Record<IdKind, RegExp>> = {};

/** When an id says that it was made, in milliseconds since the epoch. Nothing but its maker vouches for it. */
export function timeOf(id: Id<IdKind>): number {
  let value = 0;
  // Ten letters after the prefix hold 50 bits: the two that are always zero, and the 48 of the time.
  for (const letter of id.slice(id.indexOf('_') + 1, id.indexOf('_') + 11))
    value = value * 32 + alphabet.indexOf(letter);
  return value;
}

/** The smallest id of that kind that a moment can have: ids made before it sort below. */
export function firstId<K extends IdKind>(kind: K, milliseconds: number): Id<K> {
  let text = '';
  for (let time = milliseconds; text.length < 10; time = Math.floor(time / 32)) text = alphabet[time % 32]! + text;
  return `${idPrefixes[kind]}_${text.padEnd(26, '0')}` as Id<K>;
}

/**
 * The UUID that an id carries after its kind, in 32 hexadecimal digits: half as long, and no two things have the same.
 * The first two letters hold two zero bits and eight others, each four that follow hold twenty.
 */
export function uuidOf(id: string): string {
  let digits = hexadecimal(id, 4, 2, 2);
  for (let from = 6; from < 30; from += 4) digits += hexadecimal(id, from, 4, 5);
  return digits;
}

function hexadecimal(id: string, from: number, letters: number, digits: number): string {
  let value = 0;
  for (let place = from; place < from + letters; place++) value = (value << 5) | valueOf[id.charCodeAt(place)]!;
  return value.toString(16).padStart(digits, '0');
}
const valueOf = Uint8Array.from({ length: 128 }, (_, code) => Math.max(0, alphabet.indexOf(String.fromCharCode(code))));

/** 128 bits after two of zero, five to a letter. */
function encode(bytes: Uint8Array): string {
  let text = '';
  let [rest, bits] = [0, 2];
  for (const byte of bytes) {
    rest = (rest << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(rest >> bits) & 31]!;
    }
    rest &= 31;
  }
  return text;
}
