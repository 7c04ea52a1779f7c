import type { CedarValueJson } from '@cedar-policy/cedar-wasm/nodejs';
import { unreachable } from '../domain/unreachable.ts';
import type { FactType } from './engine.ts';

const longestText = 1024;
const rfc3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;
const utcMilliseconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * A text as policies see it, or null where they see none: what is no string, is longer than 1,024 characters, or holds
 * a NUL or half a character. A shortened or repaired text could satisfy a rule that the true one does not.
 */
export function plainText(value: unknown): string | null {
  const usable =
    typeof value === 'string' && value.length <= longestText && value.isWellFormed() && !value.includes('\0');
  return usable ? value : null;
}

/** A time (milliseconds since the epoch, or RFC 3339) as a policy's `datetime`; null when it is none. */
export function timestamp(time: number | string): CedarValueJson {
  if (typeof time === 'string' && !rfc3339.test(time)) return null;
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return null;
  const arg = date.toISOString();
  return utcMilliseconds.test(arg) ? { __extn: { fn: 'datetime', arg } } : null;
}

/**
 * The device's facts that the schema declares, each only if it has the declared type: agents may report anything, and
 * what a policy cannot rely on is absent for it. Longs are whole numbers that a double holds exactly.
 */
export function knownFacts(
  declared: ReadonlyMap<string, FactType>,
  facts: Readonly<Record<string, unknown>>,
): Record<string, CedarValueJson> {
  const known = [...declared].flatMap(([name, type]) => {
    const value = Object.hasOwn(facts, name) ? factOf(type, facts[name]) : null;
    return value === null ? [] : [[name, value] as const];
  });
  return Object.fromEntries(known);
}

function factOf(type: FactType, value: unknown): string | number | boolean | null {
  switch (type) {
    case 'String':
      return plainText(value);
    case 'Long':
      return Number.isSafeInteger(value) ? (value as number) : null;
    case 'Bool':
      return typeof value === 'boolean' ? value : null;
    default:
      return unreachable(type);
  }
}
