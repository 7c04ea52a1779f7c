import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
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

/** RFC 8785 canonical JSON of plain data. @throws TypeError for what JSON has no form for. */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('not a JSON value');
  return text;
}

/** A commitment: base64url SHA-256 over the salt's bytes followed by the text's UTF-8 bytes. */
export function commit(salt: Uint8Array, text: string): Commitment {
  return createHash('sha256').update(salt).update(text, 'utf8').digest('base64url') as Commitment;
}
