import { parseStrictJson } from '../domain/strict-json.ts';
import { canonicalJson } from './canonical.ts';
import { isPlainlyCanonical } from './canonical-scan.ts';
import { Malformed } from './verdict.ts';

/**
 * Reads an event whose bytes are to be RFC 8785 canonical JSON. Events are so plain that a look at their bytes is enough
 * as a rule; any other is written anew by the rules of the RFC and compared, which costs several times as much.
 * @throws Malformed when they are not that very form, or no JSON object.
 */
export function parseCanonical(bytes: Uint8Array): JsonObject {
  if (!isPlainlyCanonical(bytes)) requireCanonical(bytes);
  return parseObject(bytes);
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Looks closely, whatever is plain to see. @throws Malformed when the bytes are not canonical. */
export function requireCanonical(bytes: Uint8Array): void {
  let canonical: Buffer;
  try {
    canonical = Buffer.from(canonicalJson(parseStrictJson(viewOf(bytes).toString('utf8'))), 'utf8');
  } catch {
    throw new Malformed('is not JSON');
  }
  if (!canonical.equals(bytes)) throw new Malformed('is not RFC 8785 canonical JSON');
}

/** Reads a JSON object, whether or not it is canonical. @throws Malformed when it is none. */
export function parseObject(bytes: Uint8Array): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(viewOf(bytes).toString('utf8'));
  } catch {
    throw new Malformed('is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Malformed('is no JSON object');
  return value as JsonObject;
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
