/** Deeper than any event; what lies deeper is left to whoever looks more closely. */
const maxDepth = 8;
/** Numbers of more digits may not be written as they are. */
const mostDigits = 15;

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const literals = ['true', 'false', 'null'].map((word) => Buffer.from(word));

/**
 * True for bytes that are RFC 8785 canonical JSON at first sight: ASCII without escapes, whole numbers from 0 on, no
 * space, and the members of every object in ascending order. False says nothing: it takes a closer look.
 */
export function isPlainlyCanonical(bytes: Uint8Array): boolean {
  return scanValue(bytes, 0, 0) === bytes.length;
}

/** @returns where the value that begins at `at` ends; -1 when that is not plain to see. */
function scanValue(bytes: Uint8Array, at: number, depth: number): number {
  const first = bytes[at]!;
  if (first === quote) return scanString(bytes, at);
  if (first === 0x7b) return depth < maxDepth ? scanObject(bytes, at, depth) : -1;
  if (first === 0x5b) return depth < maxDepth ? scanArray(bytes, at, depth) : -1;
  if (first >= 0x30 && first <= 0x39) return scanNumber(bytes, at);
  const literal = literals.find((word) => word[0] === first);
  return literal?.every((byte, place) => bytes[at + place] === byte) ? at + literal.length : -1;
}

/** What stands for itself in a string: ASCII, but for quotes, backslashes and control characters. */
const plain = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte <= 0x7e && byte !== quote && byte !== 0x5c ? 1 : 0,
);

function scanString(bytes: Uint8Array, begin: number): number {
  const { length } = bytes;
  let at = begin + 1;
  while (at < length && plain[bytes[at]!] === 1) at++;
  return bytes[at] === quote ? at + 1 : -1;
}

function scanNumber(bytes: Uint8Array, begin: number): number {
  if (bytes[begin] === 0x30) return begin + 1;
  let at = begin + 1;
  while (bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++;
  return at - begin <= mostDigits ? at : -1;
}

function scanArray(bytes: Uint8Array, begin: number, depth: number): number {
  if (bytes[begin + 1] === 0x5d) return begin + 2;
  let at = begin;
  for (;;) {
    at = scanValue(bytes, at + 1, depth + 1);
    if (at < 0 || bytes[at] === 0x5d) return at < 0 ? -1 : at + 1;
    if (bytes[at] !== comma) return -1;
  }
}

function scanObject(bytes: Uint8Array, begin: number, depth: number): number {
  if (bytes[begin + 1] === 0x7d) return begin + 2;
  let [lastBegin, lastEnd] = [0, 0];
  let at = begin;
  for (;;) {
    const name = at + 1;
    const end = bytes[name] === quote ? scanString(bytes, name) : -1;
    if (end < 0 || bytes[end] !== colon) return -1;
    if (lastEnd > 0 && !isLess(bytes, lastBegin, lastEnd, name + 1, end - 1)) return -1;
    [lastBegin, lastEnd] = [name + 1, end - 1];
    at = scanValue(bytes, end + 1, depth + 1);
    if (at < 0 || bytes[at] === 0x7d) return at < 0 ? -1 : at + 1;
    if (bytes[at] !== comma) return -1;
  }
}

/** True when the first name sorts before the second; equal ones, which RFC 8785 does not know, do not. */
function isLess(bytes: Uint8Array, a: number, aEnd: number, b: number, bEnd: number): boolean {
  const shorter = Math.min(aEnd - a, bEnd - b);
  for (let at = 0; at < shorter; at++) {
    if (bytes[a + at] !== bytes[b + at]) return bytes[a + at]! < bytes[b + at]!;
  }
  return aEnd - a < bEnd - b;
}
