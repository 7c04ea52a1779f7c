import type { KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { publicKeyOnP256 } from '../domain/es256.ts';
import { BrokerError, callBroker } from './broker-calls.ts';
import { elapsedSince, machineClocks, mark, type Clocks, type Mark } from './elapsed.ts';

/** A public key of the broker's, with the only JWT types it may sign. */
export interface BrokerKey {
  readonly kid: string;
  readonly key: KeyObject;
  readonly types: ReadonlySet<string>;
}

/** The broker's keys as an agent knows them. */
export interface BrokerKeys {
  /**
   * The key with that id, or null. Asks the broker again for an id it does not know, but rarely: whoever sends unknown
   * ids can make no traffic. Never throws: keys that cannot be fetched are keys that are not there.
   */
  find(kid: string): Promise<BrokerKey | null>;
  /** The key with that id among those last fetched, however old; asks nobody. */
  peek(kid: string): BrokerKey | null;
  /** True while the copy is at most 60 s old (contract §6). INVARIANT: nothing is accepted on a copy that is not. */
  isFresh(): boolean;
}

export interface BrokerKeysOptions {
  /** Where the keys are: of the configured broker's origin, as the enrolment made sure. */
  readonly jwksUri: string;
  readonly clocks?: Clocks;
}

const longestLifeMs = 60_000;
const refreshAfterMs = 30_000;
/** The shortest time between two fetches, whether they succeeded or not. */
const fetchPauseMs = 5_000;
/** Without keys nothing can be believed, so patience with a busy broker costs nothing. */
const fetchTimeoutMs = 15_000;
const maxKeys = 32;

interface Copy {
  readonly keys: ReadonlyMap<string, BrokerKey>;
  readonly asked: Mark;
}

/** The keys behind a JWKS address, fetched from there alone: bounded in size, time and rate, without redirects. */
export function createBrokerKeys({ jwksUri, clocks = machineClocks }: BrokerKeysOptions): BrokerKeys {
  let copy: Copy | null = null;
  let lastTry: Mark | null = null;
  let pending: Promise<void> | null = null;

  const age = () => (copy ? elapsedSince(copy.asked, clocks) : Number.POSITIVE_INFINITY);
  const mayFetch = () => lastTry === null || elapsedSince(lastTry, clocks) >= fetchPauseMs;

  async function fetchKeys(): Promise<void> {
    const asked = mark(clocks);
    lastTry = asked;
    try {
      copy = { keys: await readKeys(await callBroker(jwksUri, { timeout: fetchTimeoutMs }), copy?.keys), asked };
    } catch (error) {
      // The copy at hand serves until it is too old; after that the agent refuses, which is what it must do.
      if (!(error instanceof BrokerError)) throw error;
    } finally {
      pending = null;
    }
  }

  async function refresh(): Promise<void> {
    if (!pending && mayFetch()) pending = fetchKeys();
    if (pending) await pending;
  }

  return {
    async find(kid) {
      if (age() > longestLifeMs || !copy?.keys.has(kid)) await refresh();
      else if (age() > refreshAfterMs) void refresh();
      return copy?.keys.get(kid) ?? null;
    },
    peek: (kid) => copy?.keys.get(kid) ?? null,
    isFresh: () => age() <= longestLifeMs,
  };
}

async function readKeys(answer: unknown, known?: ReadonlyMap<string, BrokerKey>): Promise<Map<string, BrokerKey>> {
  const { keys } = (answer ?? {}) as { readonly keys?: unknown };
  if (!Array.isArray(keys) || keys.length > maxKeys) throw new BrokerError('the key set is malformed', null);
  const found = new Map<string, BrokerKey>();
  for (const jwk of keys as unknown[]) {
    const key = await readKey(jwk, known);
    // Two entries of one key would let the set say two things about what it may sign.
    if (key && found.has(key.kid)) throw new BrokerError('the key set names a key twice', null);
    if (key) found.set(key.kid, key);
  }
  return found;
}

/** Null for what is no ES256 key with a thumbprint for an id and a list of types: it verifies nothing. */
async function readKey(value: unknown, known?: ReadonlyMap<string, BrokerKey>): Promise<BrokerKey | null> {
  if (typeof value !== 'object' || value === null) return null;
  const { kty, crv, x, y, kid, alg, use, d, latchkey_typ: types } = value as JWK & Record<string, unknown>;
  if (kty !== 'EC' || crv !== 'P-256' || d !== undefined || typeof kid !== 'string') return null;
  if (typeof x !== 'string' || typeof y !== 'string') return null;
  if ((alg !== undefined && alg !== 'ES256') || (use !== undefined && use !== 'sig')) return null;
  if (!Array.isArray(types) || types.length === 0 || !types.every((type) => typeof type === 'string')) return null;
  if ((await calculateJwkThumbprint({ kty, crv, x, y })) !== kid) return null;
  const allowed = new Set(types);
  // Importing costs more than verifying; the id is the thumbprint, so an equal id is an equal key.
  const before = known?.get(kid);
  if (before) return { ...before, types: allowed };
  try {
    return { kid, key: publicKeyOnP256(x, y), types: allowed };
  } catch {
    return null;
  }
}
