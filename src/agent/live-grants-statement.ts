import { isId, type DeviceId, type GrantId, type PersonId } from '../domain/ids.ts';
import { localAdmin } from '../domain/local-admin.ts';
import { ownMember, type JsonObject } from '../domain/compact-jws.ts';

/** A grant in force on this device. Times are milliseconds since the epoch. */
export interface LiveGrant {
  readonly id: GrantId;
  readonly person: PersonId;
  readonly scopes: readonly string[];
  readonly startsAt: number;
  readonly expiresAt: number;
}

/** The broker's statement of all that is live on a device; whatever is not in it is dead. Times as above. */
export interface LiveList {
  readonly version: number;
  /** When the primary database was read. */
  readonly iat: number;
  readonly exp: number;
  /** The ids of the keys whose credentials count. */
  readonly keys: ReadonlySet<string>;
  /** A hint, which proves nothing: the vkey of the ledger's newest key. Null when the broker says none. */
  readonly newestLedgerKey: string | null;
  readonly grants: ReadonlyMap<GrantId, LiveGrant>;
  /** Which generation of its local administrator's password is wanted, and which the broker knows that it has. */
  readonly localAdmin: { readonly wanted: number; readonly confirmed: number } | null;
}

/** The newest that was ever accepted; kept across restarts. */
export interface HighWater {
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly iat: number;
}

export class StatementError extends Error {
  override readonly name = 'StatementError';
}

const longestLifeMs = 60_000;
const furthestAheadMs = 60_000;
/** How far behind the newest one a statement may have been read: databases that take over have clocks of their own. */
const iatSlackMs = 5_000;
const maxGrants = 10_000;

/**
 * Reads the claims of a `live-grants+jwt` (contract §8). NumericDates may have fractions: what is compared to the
 * millisecond should be said to the millisecond.
 * @throws StatementError naming the rule that does not hold.
 */
export function readStatement(payload: JsonObject, expected: { issuer: string; device: DeviceId }): LiveList {
  const claim = (name: string) => ownMember(payload, name);
  requireThat(claim('iss') === expected.issuer, 'is of another issuer');
  requireThat(claim('aud') === `urn:latchkey:device:${expected.device}`, 'is for another device');
  const [iat, exp] = [milliseconds(claim('iat')), milliseconds(claim('exp'))];
  requireThat(iat !== null && exp !== null && exp > iat, 'has no time of reading and end');
  requireThat(exp - iat <= longestLifeMs, 'lives longer than 60 s');
  const version = claim('version');
  requireThat(Number.isSafeInteger(version) && (version as number) >= 0, 'has no version');
  requireThat((version as number) <= iat + furthestAheadMs, 'has a version more than 60 s ahead of its time');
  const hint = claim('newestLedgerKey');
  return {
    version: version as number,
    iat,
    exp,
    keys: readKeys(claim('keys')),
    newestLedgerKey: typeof hint === 'string' ? hint : null,
    grants: readGrants(claim('grants')),
    localAdmin: readSecret(claim('secrets')),
  };
}

/**
 * Requires that a statement takes nothing back: its version is not below the highest seen, it was not read before the
 * newest one, and an equal version carries equal grants.
 * @throws StatementError
 */
export function requireForward(next: LiveList, seen: HighWater | null, current: LiveList | null): void {
  if (seen) {
    requireThat(next.version >= seen.version, 'goes back to an earlier version');
    requireThat(next.iat >= seen.iat - iatSlackMs, 'was read before one already seen');
  }
  if (current?.version === next.version) {
    requireThat(describe(current) === describe(next), 'changes its grants without a new version');
  }
}

function readKeys(value: unknown): ReadonlySet<string> {
  requireThat(Array.isArray(value) && value.every((kid) => typeof kid === 'string'), 'has no list of keys');
  return new Set(value);
}

function readGrants(value: unknown): ReadonlyMap<GrantId, LiveGrant> {
  requireThat(Array.isArray(value) && value.length <= maxGrants, 'has no list of grants');
  const grants = new Map((value as unknown[]).map(readGrant).map((grant) => [grant.id, grant]));
  requireThat(grants.size === (value as unknown[]).length, 'lists a grant twice');
  return grants;
}

function readSecret(value: unknown): LiveList['localAdmin'] {
  const secret = typeof value === 'object' && value !== null ? ownMember(value as JsonObject, localAdmin) : undefined;
  if (secret === undefined) return null;
  const [wanted, confirmed] = ['wanted', 'confirmed'].map((name) => ownMember((secret ?? {}) as JsonObject, name));
  requireThat(Number.isSafeInteger(wanted) && Number.isSafeInteger(confirmed), 'does not say which password is wanted');
  return { wanted: wanted as number, confirmed: confirmed as number };
}

function readGrant(value: unknown): LiveGrant {
  const member = (name: string) => ownMember((value ?? {}) as JsonObject, name);
  const [id, person, scopes] = [member('id'), member('person'), member('scopes')];
  const [startsAt, expiresAt] = [instant(member('startsAt')), instant(member('expiresAt'))];
  const isList = Array.isArray(scopes) && scopes.every((scope) => typeof scope === 'string');
  if (!isId('grant', id) || !isId('person', person) || !isList || startsAt === null || expiresAt === null) {
    throw new StatementError('the live grants list something that is no grant');
  }
  return { id, person, scopes, startsAt, expiresAt };
}

function describe(list: LiveList): string {
  const grants = [...list.grants.values()].map(({ id, person, scopes, startsAt, expiresAt }) =>
    JSON.stringify([id, person, [...scopes].sort(), startsAt, expiresAt]),
  );
  return grants.sort().join('\n');
}

function milliseconds(numericDate: unknown): number | null {
  if (typeof numericDate !== 'number' || !Number.isFinite(numericDate) || numericDate <= 0) return null;
  return Math.round(numericDate * 1_000);
}

function instant(text: unknown): number | null {
  if (typeof text !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text)) return null;
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : time;
}

function requireThat(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new StatementError(`the statement of live grants ${otherwise}`);
}
