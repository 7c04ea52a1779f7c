import { decodeBase64url } from './base64.ts';
import { parseStrictJson } from './strict-json.ts';

/** Why a text is no compact JWE that Latchkey reads. The message is one sentence and holds nothing of the text. */
export class CompactJweError extends Error {
  override readonly name = 'CompactJweError';
}

/** How everything is encrypted here: to a key on P-256 directly (RFC 7518 §4.6), and with AES-GCM (§5.3). */
export const jweAlgorithms = { alg: 'ECDH-ES', enc: 'A256GCM' } as const;

/** Exactly these: nothing compressed (RFC 8725 §3.6), no extension, no key but the sender's one-time one. */
const headerMembers = ['alg', 'enc', 'epk', 'typ'];
const keyMembers = ['crv', 'kty', 'x', 'y'];
const longest = { iv: 12, tag: 16 };

/**
 * Requires a JWE in the one compact form it can have (RFC 7516 §7.1), before anything is made of it: five canonical
 * base64url parts of which the second is empty, for `ECDH-ES` wraps no key; a header of just `alg`, `enc`, `typ` and an
 * `epk` on P-256, each as it has to be.
 * @throws CompactJweError naming the first thing that is wrong.
 */
export function requireCanonicalCompactJwe(
  text: unknown,
  expected: { readonly typ: string; readonly maxLength: number },
): string {
  if (typeof text !== 'string' || text === '') throw new CompactJweError('it is empty');
  if (text.length > expected.maxLength) throw new CompactJweError('it is too long');
  const parts = text.split('.', 6);
  if (parts.length !== 5) throw new CompactJweError('it does not have five parts');
  const [header, wrapped, iv, ciphertext, tag] = parts as [string, string, string, string, string];
  if (wrapped !== '') throw new CompactJweError('it brings a wrapped key');
  checkHeader(readHeader(header), expected.typ);
  if (decode(iv).length !== longest.iv || decode(tag).length !== longest.tag) {
    throw new CompactJweError('its vector or its tag has another length');
  }
  decode(ciphertext);
  return text;
}

function checkHeader(header: Readonly<Record<string, unknown>>, typ: string): void {
  const names = Object.keys(header).sort();
  if (names.join() !== headerMembers.join()) throw new CompactJweError('its header has other members');
  if (header['alg'] !== jweAlgorithms.alg) throw new CompactJweError('its `alg` is not `ECDH-ES`');
  if (header['enc'] !== jweAlgorithms.enc) throw new CompactJweError('its `enc` is not `A256GCM`');
  if (header['typ'] !== typ) throw new CompactJweError('it is of another type');
  const epk = header['epk'] as Readonly<Record<string, unknown>> | null;
  const isKey = typeof epk === 'object' && epk !== null && Object.keys(epk).sort().join() === keyMembers.join();
  if (!isKey || epk['kty'] !== 'EC' || epk['crv'] !== 'P-256') {
    throw new CompactJweError('its `epk` is not an EC key on P-256');
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function readHeader(part: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = parseStrictJson(utf8.decode(decode(part)));
  } catch (error) {
    if (error instanceof CompactJweError) throw error;
    throw new CompactJweError('its header is not JSON, or names a member twice');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CompactJweError('its header is not a JSON object');
  }
  return value as Readonly<Record<string, unknown>>;
}

function decode(part: string): Buffer {
  const bytes = decodeBase64url(part);
  if (bytes === null || bytes.length === 0) throw new CompactJweError('a part of it is not canonical base64url');
  return bytes;
}
