import { canonicalJson } from './canonical.ts';
import { Malformed } from './verdict.ts';

/** The greatest depth of objects and arrays in an event. */
const maxDepth = 16;

/**
 * Reads an event whose bytes are to be RFC 8785 canonical JSON. What is canonical in every ordinary way is found to be
 * so without writing it anew by the rules of the RFC, which costs several times as much.
 * @throws Malformed when they are not that very form, or no JSON object.
 */
export function parseCanonical(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const text = textOf(bytes);
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Malformed('is no JSON object');
  // What JavaScript writes is RFC 8785 but for the order of members and for halves of surrogate pairs.
  const ordinary = isOrdered(value, 1) && !text.includes('\\ud') && JSON.stringify(value) === text;
  if (!ordinary && !isCanonical(value, text)) throw new Malformed('is not RFC 8785 canonical JSON');
  return value as Readonly<Record<string, unknown>>;
}

function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  // Bytes that are no UTF-8 are read as this character; so is the character itself.
  if (text.includes('\ufffd') && !Buffer.from(text).equals(bytes)) throw new Malformed('is not UTF-8');
  return text;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Malformed('is not JSON');
  }
}

/** True when the members of every object come in ascending order, which names like `10` before `9` do not. */
function isOrdered(value: object, depth: number): boolean {
  if (depth > maxDepth) throw new Malformed('is nested too deep');
  if (Array.isArray(value)) {
    return value.every((item) => typeof item !== 'object' || item === null || isOrdered(item as object, depth + 1));
  }
  let last = '';
  for (const [name, member] of Object.entries(value)) {
    if (name < last || (typeof member === 'object' && member !== null && !isOrdered(member as object, depth + 1))) {
      return false;
    }
    last = name;
  }
  return true;
}

function isCanonical(value: object, text: string): boolean {
  try {
    return canonicalJson(value) === text;
  } catch {
    return false;
  }
}
