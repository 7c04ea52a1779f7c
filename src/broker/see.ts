import { LatchkeyError } from '../domain/errors.ts';
import type { PersonId } from '../domain/ids.ts';
import type { Readable } from '../policy/question.ts';
import type { Seen } from '../store/listing.ts';
import type { BrokerContext, Caller } from './context.ts';
import { seenBy } from './people.ts';

/** Whose a thing is: whom it is for, if anybody, and the tenant it concerns. */
export interface Whose {
  readonly owner: PersonId | null;
  readonly tenantSlug: string;
}

/** Whether someone may see a thing: what is one's own, everyone sees. */
export function maySee(context: Pick<BrokerContext, 'policy'>, caller: Caller, what: Readable, whose: Whose): boolean {
  if (whose.owner === caller.id) return true;
  const { all, tenants } = seenBy(context, caller, what);
  return all || tenants.includes(whose.tenantSlug);
}

/** @throws not-found for what the caller may not see: nobody learns that it exists. */
export function requireVisible(
  context: Pick<BrokerContext, 'policy'>,
  caller: Caller,
  what: Readable,
  whose: Whose,
): void {
  if (!maySee(context, caller, what, whose)) throw new LatchkeyError('not-found', `there is no such ${nouns[what]}`);
}

const nouns: Record<Readable, string> = {
  requests: 'request',
  grants: 'grant',
  devices: 'device',
  tenants: 'tenant',
  alarms: 'alarm',
  ledger: 'ledger entry',
};

/**
 * What a list of requests or grants may hold for a caller: with `mine` their own, with `all` whatever they may see.
 * @throws not-permitted when they have no part in it.
 */
export function seenInList(
  context: Pick<BrokerContext, 'policy'>,
  caller: Caller,
  what: 'requests' | 'grants',
  view: 'mine' | 'all',
): Seen {
  const { all, tenants, own } = seenBy(context, caller, what);
  if (view === 'mine' && own) return { all: false, tenants: [], own: caller.id };
  if (view === 'all' && (all || tenants.length > 0)) return { all, tenants, own: own ? caller.id : null };
  throw new LatchkeyError(
    'not-permitted',
    `you have no part in ${view === 'mine' ? `${what} of your own` : `others' ${what}`}`,
  );
}

/**
 * The tenants whose things a list may hold for a caller; null means all.
 * @throws not-permitted when there are none.
 */
export function tenantsInList(
  context: Pick<BrokerContext, 'policy'>,
  caller: Caller,
  what: Readable,
): readonly string[] | null {
  const { all, tenants } = seenBy(context, caller, what);
  if (all) return null;
  if (tenants.length > 0) return tenants;
  throw new LatchkeyError('not-permitted', `you may not see ${what === 'ledger' ? 'the ledger' : what}`);
}
