import { createHash } from 'node:crypto';
import type { Commitment, LedgerEvent } from './events.ts';

/** A leaf of the ledger carries its length in two bytes (C2SP tlog-tiles). */
export const longestLeaf = 65_535;

/**
 * The event as RFC 8785 canonical JSON in UTF-8: the very bytes that the ledger keeps.
 * @throws RangeError when it is longer than a ledger entry may be.
 */
export function leafBytes(event: LedgerEvent): Buffer {
  const bytes = Buffer.from(canonicalJson(event), 'utf8');
  if (bytes.length > longestLeaf)
    throw new RangeError(`the event is ${bytes.length} bytes long, at most ${longestLeaf}`);
  return bytes;
}

/**
 * RFC 8785 canonical JSON of plain data; a member that is undefined is not there.
 * @throws TypeError for what JSON has no form for, and for anything that only looks like data, such as a date or a map.
 */
export function canonicalJson(value: unknown): string {
  // ECMAScript writes strings and numbers as the RFC asks (§3.2.2), once what has no form is out.
  if (typeof value === 'string' && value.isWellFormed()) return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return canonicalArray(value);
  if (typeof value === 'object' && isPlain(value)) return canonicalObject(value as Readonly<Record<string, unknown>>);
  throw new TypeError('not a JSON value');
}

function canonicalArray(array: readonly unknown[]): string {
  let text = '';
  for (const value of array) text += (text && ',') + canonicalJson(value);
  return `[${text}]`;
}

/** Members by their names' UTF-16 code units (§3.2.3), which is how JavaScript compares strings. */
function canonicalObject(object: Readonly<Record<string, unknown>>): string {
  let text = '';
  for (const name of Object.keys(object).sort()) {
    const value = object[name];
    if (value !== undefined) text += `${text && ','}${canonicalJson(name)}:${canonicalJson(value)}`;
  }
  return `{${text}}`;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A commitment: base64url SHA-256 over the salt's bytes followed by the text's UTF-8 bytes. */
export function commit(salt: Uint8Array, text: string): Commitment {
  return createHash('sha256').update(salt).update(text, 'utf8').digest('base64url') as Commitment;
}
