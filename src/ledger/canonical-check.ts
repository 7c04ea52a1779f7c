import { parseStrictJson } from '../domain/strict-json.ts';
import { canonicalJson } from './canonical.ts';
import { isPlainlyCanonical } from './canonical-scan.ts';
import { Malformed } from './verdict.ts';

/**
 * Reads an event whose bytes are to be RFC 8785 canonical JSON. Events are so plain that a look at their bytes is enough
 * as a rule; any other is written anew by the rules of the RFC and compared, which costs several times as much.
 * @throws Malformed when they are not that very form, or no JSON object.
 */
export function parseCanonical(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const view = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const value = isPlainlyCanonical(view) ? (JSON.parse(view.toString('latin1')) as unknown) : parseClosely(view);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Malformed('is no JSON object');
  return value as Readonly<Record<string, unknown>>;
}

function parseClosely(bytes: Buffer): unknown {
  let value: unknown;
  let canonical: Buffer;
  try {
    value = parseStrictJson(bytes.toString('utf8'));
    canonical = Buffer.from(canonicalJson(value), 'utf8');
  } catch {
    throw new Malformed('is not JSON');
  }
  if (!canonical.equals(bytes)) throw new Malformed('is not RFC 8785 canonical JSON');
  return value;
}
