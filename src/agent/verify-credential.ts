import { hash } from 'node:crypto';
import { CompactJwsError, requireCanonicalCompactJws, type CompactJws } from '../domain/compact-jws.ts';
import { verifyDpopProof } from '../domain/dpop.ts';
import { hasEs256Signature } from '../domain/es256.ts';
import type { DeviceId, TenantId } from '../domain/ids.ts';
import type { ReceiptClaims } from '../ledger/receipt.ts';
import { readCredentialClaims, type CredentialClaims } from './credential.ts';
import { machineClocks, type Clocks } from './elapsed.ts';
import type { BrokerKeys } from './jwks.ts';
import type { LiveGrants } from './live-grants.ts';
import type { LiveGrant } from './live-grants-statement.ts';
import { createReceiptCheck, type LedgerPlace, type ReceiptOptions } from './receipts.ts';
import { Refusal, type RefusalSubject } from './refusal.ts';
import { createReplayCache, type ReplayCache } from './replay-cache.ts';

export interface VerifierOptions extends ReceiptOptions {
  /** The broker's `publicUrl`, as the enrolment gave it. */
  readonly issuer: string;
  readonly device: DeviceId;
  readonly tenant: TenantId;
  readonly keys: BrokerKeys;
  readonly liveGrants: LiveGrants;
  readonly proofs?: ReplayCache;
  readonly clocks?: Clocks;
}

/** What came with a call within a session. */
export interface PresentedCall {
  readonly method: string;
  /** The configured address of the door and the path that was called; never taken from the `Host` header. */
  readonly url: string;
  /** Every `Authorization` and `DPoP` header as `headersDistinct` has them. */
  readonly authorization: readonly string[] | undefined;
  readonly proof: readonly string[] | undefined;
  /** The action that is asked for; null for a call that does none. */
  readonly scope: string | null;
}

/** What came with a call that opens or renews a session. */
export interface Presented extends PresentedCall {
  /** Every `Latchkey-Receipt` header. */
  readonly receipt: readonly string[] | undefined;
}

/** A credential that may act at this moment in a session that knows it, with the grant it rests on. */
export interface VerifiedCall extends CredentialClaims {
  /** base64url SHA-256 of the credential's text. */
  readonly credential: string;
  /** Of the key that signed it. */
  readonly kid: string;
  readonly live: LiveGrant;
}

/** A credential that may open or renew a session: it is in the ledger. */
export interface Verified extends VerifiedCall {
  readonly place: LedgerPlace;
}

export interface Verifier {
  /**
   * Verifies credential, key proof, receipt, live grant and scope. Resolves only if every check of contract §8 holds at
   * this very moment by the agent's clock; a proof it has looked at is used up, whatever the outcome.
   * @throws Refusal with the first code of contract §8 that applies.
   */
  verifyCredential(presented: Presented): Promise<Verified>;
  /**
   * As `verifyCredential`, but for the receipt. INVARIANT: no session may come of it; whoever calls requires that a
   * session was opened or renewed with this very credential, and so with its receipt.
   */
  verifyCall(presented: PresentedCall): Promise<VerifiedCall>;
}

const credentialType = 'at+jwt';
const maxLength = 8_192;
/**
 * How long a proof that was taken could come again, whatever the clocks are set to meanwhile. It was made at most ten
 * seconds after the agent's time, which is at most a minute ahead of the broker's while a list counts; and it is taken
 * for a minute.
 */
const proofLifeMs = 131_000;

/**
 * The checklist at a device's door. Nothing a credential says is believed before its signature is verified, and nobody
 * is named in a refusal before its receipt is: whoever stole a key of the broker's must not be able to fill the ledger.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { liveGrants, proofs = createReplayCache(), clocks = machineClocks } = options;
  const clock = () => liveGrants.now() ?? Date.now();
  const locate = createReceiptCheck(options);
  /** Credentials whose receipts were verified, until they run out. */
  const receipted = createReplayCache();

  return {
    async verifyCredential(presented) {
      const { claims, credential, kid } = identify(presented, await requireSignature(presented));
      const about = { hash: credential, claims: receiptClaims(claims, options) };
      const place = await locate(presented.receipt, about, clock());
      receipted.use(credential, clock(), claims.exp * 1_000);
      return { ...claims, credential, kid, place, live: admit(claims, presented.scope, claims) };
    },
    async verifyCall(presented) {
      const { claims, credential, kid } = identify(presented, await requireSignature(presented));
      const subject = receipted.has(credential, clock()) ? claims : null;
      return { ...claims, credential, kid, live: admit(claims, presented.scope, subject) };
    },
  };

  /**
   * A key verifies only what it may sign: the statement key makes no credential. A key that the broker has retired from
   * its list is no key, even while the copy of the key set still has it.
   */
  async function requireSignature({ authorization }: PresentedCall): Promise<SignedToken> {
    const token = requireCredential(authorization);
    const jws = readToken(token);
    const { alg, typ, kid } = jws.header;
    if (alg !== 'ES256' || kid === undefined) throw bad("the credential's `alg` is not `ES256`, or it names no key");
    const { keys } = options;
    // Only an id that the broker has named may cause a fetch: strangers who make up ids make no traffic.
    const key = liveGrants.current()?.keys.has(kid) ? await keys.find(kid) : keys.peek(kid);
    if (!key && !keys.isFresh()) throw stale();
    if (!key) throw bad('the credential is signed with an unknown key');
    if (!hasEs256Signature(token, key.key)) throw bad("the credential's signature does not verify");
    const mayCredit = key.types.has(credentialType) && liveGrants.current()?.keys.has(kid) !== false;
    if (typ === credentialType && !mayCredit) throw bad('the credential is signed with a key that may not sign one');
    return { token, jws, kid };
  }

  function identify(presented: PresentedCall, { token, jws, kid }: SignedToken): Identified {
    requireType(jws);
    const { issuer, device, tenant } = options;
    const claims = readCredentialClaims(jws.payload, { issuer, device, tenant, now: clock() });
    const credential = hash('sha256', token, 'base64url');
    requireProof(credential, claims, presented);
    return { claims, credential, kid };
  }

  function admit(claims: CredentialClaims, scope: string | null, subject: RefusalSubject | null): LiveGrant {
    if (liveGrants.current() === null || !options.keys.isFresh()) throw stale(subject);
    const live = requireLive(claims, subject);
    requireScope(claims, scope, subject);
    return live;
  }

  function requireProof(credential: string, claims: CredentialClaims, presented: PresentedCall): void {
    const verdict = verifyDpopProof({
      proof: presented.proof,
      method: presented.method,
      url: presented.url,
      now: clock(),
      ath: credential,
      expectedThumbprint: claims.jkt,
      // Before the first list there is no start to compare with, and no grant to use either.
      notBefore: liveGrants.startedAt() ?? 0,
    });
    if (!verdict.ok) throw new Refusal('bad-proof', verdict.reason);
    // INVARIANT: by the clock that nobody can set. One that runs ahead and is set right would have forgotten too soon.
    const now = clocks.monotonic();
    const use = proofs.use(verdict.replayKey, now, now + proofLifeMs);
    if (use === 'full') throw new Refusal('bad-proof', 'too many proofs are remembered to take another; try later');
    if (use === 'again') throw new Refusal('replayed-proof', 'the proof has been used before');
  }

  /** INVARIANT: reads the clock again; what ran out while signatures were verified has run out. */
  function requireLive(claims: CredentialClaims, subject: RefusalSubject | null): LiveGrant {
    if (clock() >= claims.exp * 1_000) throw new Refusal('expired', 'the credential has run out', subject);
    const live = liveGrants.live(claims.grant, claims.person, claims.scopes);
    if (!live) throw new Refusal('grant-not-live', 'the grant is not live on this device', subject);
    return live;
  }
}

/** A token whose signature is verified. */
interface SignedToken {
  readonly token: string;
  readonly jws: CompactJws;
  readonly kid: string;
}

interface Identified {
  readonly claims: CredentialClaims;
  /** base64url SHA-256 of the token. */
  readonly credential: string;
  readonly kid: string;
}

/** What the credential says, as its event in the ledger has to say it too. */
function receiptClaims(claims: CredentialClaims, { device, tenant }: VerifierOptions): ReceiptClaims {
  const { id: jti, grant, person: sub, scopes, iat, nbf, exp } = claims;
  return { jti, grant, aud: `urn:latchkey:device:${device}`, tenant, sub, scope: scopes.join(' '), iat, nbf, exp };
}

function requireCredential(authorization: readonly string[] | undefined): string {
  const header = authorization?.length === 1 ? authorization[0]! : '';
  const token = header.slice(scheme.length);
  const isOne = header.slice(0, scheme.length).toLowerCase() === scheme && token !== '' && !/[\s,]/.test(token);
  if (!isOne) throw new Refusal('no-credential', 'the call brings no credential as `DPoP`');
  return token;
}

const scheme = 'dpop ';

function stale(about: RefusalSubject | null = null): Refusal {
  return new Refusal('stale-live-grants', 'the device has not heard from its broker for too long', about);
}

function readToken(token: string): CompactJws {
  try {
    return requireCanonicalCompactJws(token, { maxLength });
  } catch (error) {
    if (error instanceof CompactJwsError) throw bad(error.message);
    throw error;
  }
}

function bad(why: string): Refusal {
  return new Refusal('bad-signature', why);
}

function requireType({ header }: CompactJws): void {
  if (header.typ !== credentialType) throw new Refusal('wrong-type', 'the token is no credential');
}

function requireScope({ scopes }: CredentialClaims, scope: string | null, subject: RefusalSubject | null): void {
  if (scope === null || scopes.includes(scope)) return;
  throw new Refusal('scope-missing', `the credential does not allow \`${scope}\``, subject);
}
