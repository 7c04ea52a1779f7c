import type { LedgerEvent } from '../events.ts';

/** An event that holds what a device stated. */
export type Statement = Extract<LedgerEvent, { readonly statement: string }>;

/** The claims of a device's statement. Its signature is the broker's to check: devices' keys are not in the ledger. */
export function claimsOf(statement: string): Readonly<Record<string, unknown>> | null {
  try {
    const claims = JSON.parse(Buffer.from(statement.split('.')[1] ?? '', 'base64url').toString('utf8')) as unknown;
    return typeof claims === 'object' && claims !== null ? (claims as Readonly<Record<string, unknown>>) : null;
  } catch {
    return null;
  }
}

/**
 * Holds an event against the statement in it: by its device, of its type, with these claims. What is null of them must
 * be absent. @returns what does not hold, or null.
 */
export function saysOtherwise(event: Statement, claimed: Readonly<Record<string, unknown>>): string | null {
  if (event.actor.kind !== 'device' || event.actor.id !== event.device) return 'the statement is not of its device';
  const claims = claimsOf(event.statement);
  if (!claims) return 'the statement is no signed statement';
  const expected = { iss: event.device, type: event.type, ...claimed };
  const isSame = Object.entries(expected).every(([name, value]) => (claims[name] ?? null) === value);
  return isSame ? null : 'the statement says another thing than its event';
}
