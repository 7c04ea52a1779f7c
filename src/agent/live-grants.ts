import { CompactJwsError, requireCanonicalCompactJws } from '../domain/compact-jws.ts';
import { hasEs256Signature } from '../domain/es256.ts';
import type { DeviceId, GrantId, PersonId } from '../domain/ids.ts';
import { elapsedSince, machineClocks, mark, type Clocks, type Mark } from './elapsed.ts';
import type { BrokerKeys } from './jwks.ts';
import {
  readStatement,
  requireForward,
  StatementError,
  type HighWater,
  type LiveGrant,
  type LiveList,
} from './live-grants-statement.ts';

/** What the agent lives by: the last statement of live grants that it could believe, and the clock it brings. */
export interface LiveGrants {
  /**
   * Takes a statement, or refuses it and stays with what it had. `asked` marks the moment of the request that a list
   * freshly read answers: such a list sets the agent's clock.
   * @throws StatementError naming what is wrong with it.
   */
  accept(statement: string, asked: Mark | null): Promise<void>;
  /**
   * The agent's clock, in milliseconds since the epoch: the time at which the broker read the first list of a
   * connection, plus the larger of monotonic and wall time since that list was asked for; never behind the newest list,
   * nor behind what the monotonic clock alone says has passed since one of them came.
   * Null before the first one.
   */
  now(): number | null;
  /** When the first list was read: proofs made before are refused, since their use cannot be remembered. */
  startedAt(): number | null;
  /** The list in force, or null when there is none or it has run out: then nothing is live. */
  current(): LiveList | null;
  /** The grant, if it is live for this person with at least these scopes. False closes the door. */
  live(grant: GrantId, person: PersonId, scopes: readonly string[]): LiveGrant | null;
  /** Calls back after each change of the list; the returned function stops that. */
  onChange(listener: () => void): () => void;
}

export interface LiveGrantsOptions {
  readonly issuer: string;
  readonly device: DeviceId;
  readonly keys: BrokerKeys;
  /** The highest version and newest reading seen before this start; null at the very first. */
  readonly seen: HighWater | null;
  /** Keeps them. INVARIANT: awaited before a list with a higher version counts, so that no restart forgets it. */
  readonly remember: (seen: HighWater) => Promise<void>;
  readonly clocks?: Clocks;
}

const statementType = 'live-grants+jwt';
const maxLength = 1_048_576;
/** How often at most the time of reading alone is worth a write. */
const rememberEveryMs = 60_000;
/** How much slower than this machine's monotonic clock the broker's may go: more than any clock is off. */
const slowestClock = 0.999;

/** The live grants of one device. Nothing is live until the first statement was accepted. */
export function createLiveGrants(options: LiveGrantsOptions): LiveGrants {
  const { issuer, device, keys, clocks = machineClocks } = options;
  const listeners = new Set<() => void>();
  let list: LiveList | null = null;
  let seen = options.seen;
  let remembered = options.seen;
  let anchor: { readonly iat: number; readonly asked: Mark } | null = null;
  let heard: { readonly iat: number; readonly monotonic: number } | null = null;
  let startedAt: number | null = null;
  let turn: Promise<void> = Promise.resolve();

  const now = () => (anchor ? anchor.iat + elapsedSince(anchor.asked, clocks) : null);
  const current = () => (list !== null && now()! < list.exp ? list : null);

  /**
   * The earliest that it can be now: the broker had read that list when it came, and the monotonic clock has gone on
   * since. INVARIANT: no list, however freshly asked for, sets the clock back behind this, or whoever serves an old one
   * again and again could keep it from running out.
   */
  const earliest = () =>
    heard ? heard.iat + (clocks.monotonic() - heard.monotonic) * slowestClock : Number.NEGATIVE_INFINITY;

  async function take(statement: string, asked: Mark | null): Promise<void> {
    const next = readStatement(await verifiedPayload(statement, keys), { issuer, device });
    requireForward(next, seen, list);
    const clock = asked ? Math.max(next.iat + elapsedSince(asked, clocks), earliest()) : now();
    if (clock === null) throw new StatementError('the first statement must be one that was asked for');
    if (clock >= next.exp) throw new StatementError('the statement of live grants has run out');
    await rememberSeen({ version: next.version, iat: Math.max(next.iat, seen?.iat ?? 0) });
    if (asked && next.iat + elapsedSince(asked, clocks) >= earliest()) anchor = { iat: next.iat, asked };
    else if (asked) anchor = { iat: earliest(), asked: mark(clocks) };
    // What the broker has read lies in the past, so a clock that is behind it is slow. It is never set back here.
    else if (next.iat > clock) anchor = { iat: next.iat, asked: mark(clocks) };
    if (next.iat >= earliest()) heard = { iat: next.iat, monotonic: clocks.monotonic() };
    startedAt ??= next.iat;
    replace(next);
  }

  async function rememberSeen(next: HighWater): Promise<void> {
    const isWorthIt = next.version !== remembered?.version || next.iat - remembered.iat >= rememberEveryMs;
    if (isWorthIt) await options.remember(next).catch(shut);
    if (isWorthIt) remembered = next;
    seen = next;
  }

  /** What cannot be remembered cannot be held against a later list: an agent without a disk lives by none. */
  function shut(error: unknown): never {
    replace(null);
    throw error;
  }

  function replace(next: LiveList | null): void {
    list = next;
    for (const listener of listeners) listener();
  }

  return {
    accept(statement, asked) {
      // One after the other: between the comparison with what was seen and its replacement nothing else may come.
      const taken = turn.then(() => take(statement, asked));
      turn = taken.catch(() => undefined);
      return taken;
    },
    now,
    startedAt: () => startedAt,
    current,
    live: (grant, person, scopes) => findLive(current(), { grant, person, scopes, now: now() ?? 0 }),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

interface LiveQuestion {
  readonly grant: GrantId;
  readonly person: PersonId;
  readonly scopes: readonly string[];
  readonly now: number;
}

/** The rule of contract §8: listed, for this person, with these scopes, and now is within; to the millisecond. */
export function findLive(list: LiveList | null, question: LiveQuestion): LiveGrant | null {
  const grant = list?.grants.get(question.grant);
  if (!grant || grant.person !== question.person) return null;
  if (!question.scopes.every((scope) => grant.scopes.includes(scope))) return null;
  return grant.startsAt <= question.now && question.now < grant.expiresAt ? grant : null;
}

async function verifiedPayload(statement: string, keys: BrokerKeys) {
  try {
    const { header, payload } = requireCanonicalCompactJws(statement, { maxLength });
    if (header.typ !== statementType) throw new StatementError('the statement is no `live-grants+jwt`');
    const key = header.kid === undefined ? null : await keys.find(header.kid);
    if (!key?.types.has(statementType) || !keys.isFresh()) {
      throw new StatementError('the statement is signed with a key that may not sign one');
    }
    if (header.alg !== 'ES256' || !hasEs256Signature(statement, key.key)) {
      throw new StatementError('the statement of live grants is refused: its signature does not verify');
    }
    return payload;
  } catch (error) {
    if (error instanceof StatementError) throw error;
    const why = error instanceof CompactJwsError ? error.message : 'its signature does not verify';
    throw new StatementError(`the statement of live grants is refused: ${why}`);
  }
}
