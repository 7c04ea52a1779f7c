import { createHash } from 'node:crypto';
import { compactVerify, type CryptoKey } from 'jose';
import {
  CompactJwsError,
  ownMember,
  requireCanonicalCompactJws,
  type CompactJws,
  type JsonObject,
} from '../../domain/compact-jws.ts';
import { LatchkeyError } from '../../domain/errors.ts';
import { createKeySource, type KeySource } from './key-source.ts';
import { readPerson, readSubject } from './person.ts';
import { isSigningAlgorithm, type SigningAlgorithm } from './signing-keys.ts';
import { clientIds, whyNotAPersonsAccessToken } from './token-kind.ts';
import type { IdentityLog, IdentityProviderConfig, VerifiedPerson } from './types.ts';
import { createVerifiedTexts } from './verified-texts.ts';

const maxTokenLength = 16_384;
const defaultMaxTokenAge = 3_600;
/** Seconds by which a provider's clock may run ahead of ours. Nothing forgives an `exp` that is past. */
const clockSkew = 5;

export interface IdentityVerifier {
  /**
   * Verifies a person's access token, sent as Bearer: form, signature, issuer, audience, times, kind (contract §3).
   * @throws LatchkeyError `unauthenticated`, whose `cause` says why and is for the log alone; `unavailable` with
   * `retryAfter` when the provider cannot be reached and its keys are not at hand.
   */
  verify(bearer: string): Promise<VerifiedPerson>;
}

export interface IdentityVerifierOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log?: IdentityLog;
}

interface Provider {
  readonly config: IdentityProviderConfig;
  readonly keys: KeySource;
}

const silent: IdentityLog = { info: () => undefined, warn: () => undefined };

/** Makes the verifier for the configured providers; see `identityProvidersMistakes` for what must hold of them. */
export function createIdentityVerifier(
  providers: readonly IdentityProviderConfig[],
  { now, log = silent }: IdentityVerifierOptions,
): IdentityVerifier {
  const byIssuer = new Map<unknown, Provider>(
    providers.map((config) => [config.issuer, { config, keys: createKeySource(config, { now, log }) }]),
  );
  const verified = createVerifiedTexts();

  return {
    async verify(bearer) {
      const token = readToken(bearer);
      const provider = byIssuer.get(ownMember(token.payload, 'iss'));
      if (!provider) throw refusal('its `iss` is no configured provider');
      const { alg, kid } = token.header;
      if (!isSigningAlgorithm(alg)) throw refusal('its `alg` is not on the list');
      const key = await keyFor(provider, kid, alg);
      const tokenHash = createHash('sha256').update(bearer).digest('base64url');
      if (!verified.has(key, tokenHash)) {
        await verifySignature(bearer, key, alg);
        verified.add(key, tokenHash);
      }
      return readVerified(token, provider.config, tokenHash, now());
    },
  };
}

function readToken(bearer: string): CompactJws {
  try {
    return requireCanonicalCompactJws(bearer, { maxLength: maxTokenLength });
  } catch (error) {
    if (error instanceof CompactJwsError) throw refusal(error.message);
    throw error;
  }
}

async function keyFor({ keys }: Provider, kid: string | undefined, alg: SigningAlgorithm): Promise<CryptoKey> {
  const key = await keys.find(kid, alg);
  if (!key) throw refusal('its `kid` and `alg` name no key of the provider');
  try {
    return await key.forAlgorithm(alg);
  } catch (error) {
    throw refusal('the key of the provider is malformed', error);
  }
}

async function verifySignature(bearer: string, key: CryptoKey, alg: SigningAlgorithm): Promise<void> {
  try {
    await compactVerify(bearer, key, { algorithms: [alg] });
  } catch (error) {
    throw refusal('its signature does not verify', error);
  }
}

/** What remains once the signature holds. Asked at every call, whether or not the text was seen before. */
function readVerified(
  token: CompactJws,
  provider: IdentityProviderConfig,
  tokenHash: string,
  now: number,
): VerifiedPerson {
  const { payload } = token;
  const times = checkTimes(payload, provider.maxTokenAge ?? defaultMaxTokenAge, now);
  checkAudience(payload, provider.audience);
  const subject = readSubject(payload, provider);
  if (subject === null) throw refusal('its subject is absent, malformed or an e-mail address');
  const otherKind = whyNotAPersonsAccessToken(token, subject);
  if (otherKind !== null) throw refusal(otherKind);
  const clients = clientIds(payload);
  checkClients(clients, provider.clients);
  return {
    issuer: provider.issuer,
    subject,
    ...readPerson(payload, provider),
    ...times,
    clientId: clients[0] ?? null,
    tokenHash,
  };
}

function checkTimes(
  claims: JsonObject,
  maxTokenAge: number,
  now: number,
): { readonly issuedAt: number; readonly expiresAt: number } {
  const [exp, iat, nbf] = ['exp', 'iat', 'nbf'].map((name) => ownMember(claims, name));
  if (!isNumericDate(exp) || !isNumericDate(iat)) throw refusal('its `exp` or `iat` is absent or no number');
  if (nbf !== undefined && !isNumericDate(nbf)) throw refusal('its `nbf` is no number');
  const expiresAt = Math.min(exp, iat + maxTokenAge);
  if (now >= expiresAt * 1_000) throw expired();
  if (Math.max(iat, nbf ?? iat) * 1_000 > now + clockSkew * 1_000) throw refusal('it lies in the future');
  return { issuedAt: iat, expiresAt };
}

function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function checkAudience(claims: JsonObject, audience: string): void {
  const aud = ownMember(claims, 'aud');
  if (aud !== audience && !(Array.isArray(aud) && aud.includes(audience))) throw refusal('its `aud` is another');
}

function checkClients(clients: readonly string[], allowed: readonly string[] | undefined): void {
  if (!allowed) return;
  const accepted = clients.length > 0 && clients.every((client) => allowed.includes(client));
  if (!accepted) throw refusal('its client is not one of the accepted');
}

function refusal(reason: string, cause?: unknown): LatchkeyError {
  return new LatchkeyError('unauthenticated', 'the access token is not accepted here: sign in again', {
    cause: new Error(`the access token is refused: ${reason}`, cause === undefined ? {} : { cause }),
  });
}

function expired(): LatchkeyError {
  return new LatchkeyError('unauthenticated', 'the access token has expired: sign in again', {
    cause: new Error('the access token is refused: it has expired'),
  });
}
