import { LatchkeyError } from '../../domain/errors.ts';
import { ownMember, type JsonObject } from '../../domain/compact-jws.ts';
import { isPrivateHost } from './addresses.ts';
import { fetchJson, type FetchBounds } from './fetch-json.ts';
import { readKeySet, type SigningAlgorithm, type SigningKey } from './signing-keys.ts';
import type { IdentityLog, IdentityProviderConfig } from './types.ts';

const seconds = 1_000;
/** Older keys are asked for again while the ones at hand still serve. */
const refreshAfter = 10 * 60 * seconds;
/** Older keys serve no more: a provider that took a key back is heard within this time, or nobody is let in. */
const maxAge = 60 * 60 * seconds;
/** However many unknown `kid`s come, the provider is asked at most so often. */
const cooldown = 10 * seconds;
const cooldownAfterFailure = 3 * seconds;
const bounds = { maxBytes: 262_144, timeout: 5 * seconds };

export interface KeySource {
  /**
   * The one key of the provider that a token names and that fits its algorithm; null when there is none, or when
   * several would do and the token names none.
   * @throws LatchkeyError `unavailable` when the provider cannot be reached and the keys at hand are too old, or none
   *   is the one that is named.
   */
  find(kid: string | undefined, alg: SigningAlgorithm): Promise<SigningKey | null>;
}

/** Holds one provider's keys: found by discovery, at most an hour old, asked for by one call at a time. */
export function createKeySource(
  provider: IdentityProviderConfig,
  { now, log }: { readonly now: () => number; readonly log: IdentityLog },
): KeySource {
  let keys: readonly SigningKey[] = [];
  let fetchedAt = -Infinity;
  let attempt = { at: -Infinity, failed: false };
  let running: Promise<void> | null = null;

  /** Milliseconds since a moment; a clock that was set back makes everything old. */
  const age = (since: number) => (now() < since ? Infinity : now() - since);
  const usable = () => age(fetchedAt) <= maxAge;
  const wait = () => (attempt.failed ? cooldownAfterFailure : cooldown) - age(attempt.at);

  function refresh(): Promise<void> {
    attempt = { at: now(), failed: false };
    running ??= load().finally(() => (running = null));
    return running;
  }

  async function load(): Promise<void> {
    try {
      const found = await fetchKeys(provider);
      if (found.length === 0) throw new Error('the key set holds no key that may sign tokens');
      keys = found;
      fetchedAt = now();
      log.info({ issuer: provider.issuer, kids: found.map(({ kid }) => kid) }, 'identity provider keys loaded');
    } catch (error) {
      attempt = { at: now(), failed: true };
      log.warn({ issuer: provider.issuer, reason: describe(error) }, 'identity provider keys could not be loaded');
    }
  }

  async function refreshIfAllowed(): Promise<void> {
    if (running || wait() <= 0) await refresh();
  }

  return {
    async find(kid, alg) {
      if (!usable()) await refreshIfAllowed();
      else if (age(fetchedAt) > refreshAfter) void refreshIfAllowed();
      if (!usable()) throw unreachableProvider(wait());
      const key = pick(keys, kid, alg);
      if (key || kid === undefined) return key;
      await refreshIfAllowed();
      const found = pick(keys, kid, alg);
      // It may be a new key: that nobody could ask is no reason to call the token wrong.
      if (!found && attempt.failed) throw unreachableProvider(wait());
      return found;
    },
  };
}

function pick(keys: readonly SigningKey[], kid: string | undefined, alg: SigningAlgorithm): SigningKey | null {
  const fitting = keys.filter((key) => key.fits(alg) && (kid === undefined || key.kid === kid));
  return fitting.length === 1 ? fitting[0]! : null;
}

function unreachableProvider(wait: number): LatchkeyError {
  return new LatchkeyError('unavailable', 'the identity provider cannot be reached: try again shortly', {
    retryAfter: Math.max(1, Math.ceil(wait / seconds)),
  });
}

/** OpenID Connect Discovery 1.0 §4, and the keys it leads to: on the issuer's own origin unless configured. */
async function fetchKeys(provider: IdentityProviderConfig): Promise<readonly SigningKey[]> {
  const { issuer, jwksUri } = provider;
  const allowPrivate =
    provider.privateNetwork === true || [issuer, jwksUri ?? issuer].some((url) => isPrivateHost(new URL(url).hostname));
  const limits: FetchBounds = { ...bounds, allowPrivate };
  const keysAt = jwksUri === undefined ? await discoverKeys(issuer, limits) : new URL(jwksUri);
  return readKeySet(await fetchJson(keysAt, limits));
}

async function discoverKeys(issuer: string, limits: FetchBounds): Promise<URL> {
  const document = await fetchJson(new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`), limits);
  const members = (typeof document === 'object' && document !== null ? document : {}) as JsonObject;
  if (ownMember(members, 'issuer') !== issuer) throw new Error('the discovery document is of another issuer');
  const jwksUri = ownMember(members, 'jwks_uri');
  const url = typeof jwksUri === 'string' ? URL.parse(jwksUri) : null;
  if (!url) throw new Error('the discovery document has no `jwks_uri`');
  if (url.origin !== new URL(issuer).origin) {
    throw new Error(`\`jwks_uri\` is on another origin, \`${url.origin}\`: configure \`jwksUri\` if that is right`);
  }
  return url;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
