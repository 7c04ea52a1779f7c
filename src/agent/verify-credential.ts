import { hash } from 'node:crypto';
import { CompactJwsError, requireCanonicalCompactJws, type CompactJws } from '../domain/compact-jws.ts';
import { verifyDpopProof } from '../domain/dpop.ts';
import { hasEs256Signature } from '../domain/es256.ts';
import type { DeviceId, TenantId } from '../domain/ids.ts';
import { readCredentialClaims, type CredentialClaims } from './credential.ts';
import type { BrokerKeys } from './jwks.ts';
import type { LiveGrants } from './live-grants.ts';
import type { LiveGrant } from './live-grants-statement.ts';
import { Refusal, type RefusalSubject } from './refusal.ts';
import { createReplayCache, type ReplayCache } from './replay-cache.ts';

export interface VerifierOptions {
  /** The broker's `publicUrl`, as the enrolment gave it. */
  readonly issuer: string;
  readonly device: DeviceId;
  readonly tenant: TenantId;
  readonly keys: BrokerKeys;
  readonly liveGrants: LiveGrants;
  readonly proofs?: ReplayCache;
}

/** What came with a call at the door. */
export interface Presented {
  readonly method: string;
  /** The configured address of the door and the path that was called; never taken from the `Host` header. */
  readonly url: string;
  /** Every `Authorization` and `DPoP` header as `headersDistinct` has them. */
  readonly authorization: readonly string[] | undefined;
  readonly proof: readonly string[] | undefined;
  /** The action that is asked for; null for a call that does none. */
  readonly scope: string | null;
}

/** A credential that may act at this moment, with the grant it rests on. */
export interface Verified extends CredentialClaims {
  /** base64url SHA-256 of the credential's text. */
  readonly credential: string;
  readonly live: LiveGrant;
}

export interface Verifier {
  /**
   * Verifies credential, key proof, live grant and scope. Resolves only if every check of contract §8 holds at this
   * very moment by the agent's clock; a proof it has looked at is used up, whatever the outcome.
   * @throws Refusal with the first code of contract §8 that applies.
   */
  verifyCredential(presented: Presented): Promise<Verified>;
}

const credentialType = 'at+jwt';
const maxLength = 8_192;
/** How long a proof could be used again: a minute back, ten seconds ahead. */
const proofLifeMs = 71_000;

/** The checklist at a device's door. Nothing a credential says is believed before its signature is verified. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { liveGrants, proofs = createReplayCache() } = options;
  const clock = () => liveGrants.now() ?? Date.now();

  return {
    async verifyCredential(presented) {
      const token = requireCredential(presented.authorization);
      const jws = await requireSignature(token, options);
      requireType(jws);
      const claims = readCredentialClaims(jws.payload, { ...options, now: clock() });
      await requireProof(token, claims, presented);
      requireFreshness(claims);
      const live = requireLive(claims);
      requireScope(claims, presented.scope);
      return { ...claims, credential: hash('sha256', token, 'base64url'), live };
    },
  };

  async function requireProof(token: string, claims: CredentialClaims, presented: Presented): Promise<void> {
    const verdict = await verifyDpopProof({
      proof: presented.proof,
      method: presented.method,
      url: presented.url,
      now: clock(),
      accessToken: token,
      expectedThumbprint: claims.jkt,
      // Before the first list there is no start to compare with, and no grant to use either.
      notBefore: liveGrants.startedAt() ?? 0,
    });
    if (!verdict.ok) throw new Refusal('bad-proof', verdict.reason);
    const now = clock();
    const use = proofs.use(verdict.replayKey, now, now + proofLifeMs);
    if (use === 'full') throw new Refusal('bad-proof', 'too many proofs are remembered to take another; try later');
    if (use === 'again') throw new Refusal('replayed-proof', 'the proof has been used before');
  }

  function requireFreshness(claims: CredentialClaims): void {
    if (liveGrants.current() === null || !options.keys.isFresh()) throw stale(claims);
  }

  /** INVARIANT: reads the clock again; what ran out while signatures were verified has run out. */
  function requireLive(claims: CredentialClaims): LiveGrant {
    if (clock() >= claims.exp * 1_000) throw new Refusal('expired', 'the credential has run out', claims);
    const live = liveGrants.live(claims.grant, claims.person, claims.scopes);
    if (!live) throw new Refusal('grant-not-live', 'the grant is not live on this device', claims);
    return live;
  }
}

function requireCredential(authorization: readonly string[] | undefined): string {
  const [, token] = /^DPoP ([^\s,]+)$/i.exec(authorization?.length === 1 ? authorization[0]! : '') ?? [];
  if (token === undefined) throw new Refusal('no-credential', 'the call brings no credential as `DPoP`');
  return token;
}

/**
 * A key verifies only what it may sign: the statement key makes no credential. A key that the broker has retired from
 * its list is no key, even while the copy of the key set still has it.
 */
async function requireSignature(token: string, { keys, liveGrants }: VerifierOptions): Promise<CompactJws> {
  const bad = (why: string) => new Refusal('bad-signature', why);
  const jws = readToken(token, bad);
  const { alg, typ, kid } = jws.header;
  if (alg !== 'ES256' || kid === undefined) throw bad("the credential's `alg` is not `ES256`, or it names no key");
  // Only an id that the broker has named may cause a fetch: strangers who make up ids make no traffic.
  const key = liveGrants.current()?.keys.has(kid) ? await keys.find(kid) : keys.peek(kid);
  if (!key && !keys.isFresh()) throw stale();
  if (!key) throw bad('the credential is signed with an unknown key');
  if (!hasEs256Signature(token, key.key)) throw bad("the credential's signature does not verify");
  const mayCredit = key.types.has(credentialType) && liveGrants.current()?.keys.has(kid) !== false;
  if (typ === credentialType && !mayCredit) throw bad('the credential is signed with a key that may not sign one');
  return jws;
}

function stale(about: RefusalSubject | null = null): Refusal {
  return new Refusal('stale-live-grants', 'the device has not heard from its broker for too long', about);
}

function readToken(token: string, bad: (why: string) => Refusal): CompactJws {
  try {
    return requireCanonicalCompactJws(token, { maxLength });
  } catch (error) {
    if (error instanceof CompactJwsError) throw bad(error.message);
    throw error;
  }
}

function requireType({ header }: CompactJws): void {
  if (header.typ !== credentialType) throw new Refusal('wrong-type', 'the token is no credential');
}

function requireScope(claims: CredentialClaims, scope: string | null): void {
  if (scope !== null && !claims.scopes.includes(scope)) {
    throw new Refusal('scope-missing', `the credential does not allow \`${scope}\``, claims);
  }
}
