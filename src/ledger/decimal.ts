import { Malformed } from './verdict.ts';

/**
 * A size or an index as C2SP writes it: ASCII decimal without leading zeroes, at most 2^53 - 1.
 * @throws Malformed otherwise; `what` says in its message what was to be read.
 */
export function parseDecimal(text: string, what: string): number {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text)) {
    throw new Malformed(`${what} is not a decimal number without leading zeroes`);
  }
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Malformed(`${what} is larger than 2^53 - 1`);
  return value;
}
