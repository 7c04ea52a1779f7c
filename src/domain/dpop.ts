import { CompactJwsError, ownMember, requireCanonicalCompactJws, type JsonObject } from './compact-jws.ts';
import { normalizeHttpUri } from './http-uri.ts';
import { isProofId, ProofRefusal, publicKeyOf, replayKeyOf, requireThat, verifySignature } from './key-proof.ts';

export interface DpopQuestion {
  /** The `DPoP` header as `headersDistinct` gives it: Node's `headers` would join repeated ones. */
  readonly proof: string | readonly string[] | undefined;
  readonly method: string;
  /** The URL the caller was meant to use, from configuration, never from `Host` or `X-Forwarded-*`. */
  readonly url: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** base64url SHA-256 of the token the proof comes with; then `ath` is required to be it, otherwise it is refused. */
  readonly ath?: string;
  /** The `cnf.jkt` the proof's key must have. */
  readonly expectedThumbprint?: string;
  readonly maxAgeSeconds?: number;
  readonly maxFutureSeconds?: number;
  /** Milliseconds since the epoch; a proof made before is refused (a verifier remembers no `jti` from before its start). */
  readonly notBefore?: number;
}

export type DpopVerdict =
  | {
      readonly ok: true;
      /** RFC 7638 thumbprint of the proof's key. */
      readonly jkt: string;
      readonly jti: string;
      /** Seconds since the epoch, as the proof says. */
      readonly iat: number;
      /** base64url SHA-256 over key and `jti`: whoever accepts the proof must see to it that this is never seen twice. */
      readonly replayKey: string;
    }
  | { readonly ok: false; readonly reason: string };

const maxProofLength = 4_096;

/**
 * Verifies a DPoP proof: every check of RFC 9449 §4.3 but the nonce (none is ever issued), for EC P-256 keys with
 * ES256. Replay is the caller's to refuse, by `replayKey`. A refusal's reason is one sentence without secrets.
 */
export function verifyDpopProof(question: DpopQuestion): DpopVerdict {
  try {
    const proof = singleProof(question.proof);
    const { header, payload } = requireCanonicalCompactJws(proof, { maxLength: maxProofLength, allowJwk: true });
    requireThat(header.typ === 'dpop+jwt', "the proof's `typ` is not `dpop+jwt`");
    requireThat(header.alg === 'ES256', "the proof's `alg` is not `ES256`");
    const key = publicKeyOf(header);
    const { jti, iat } = checkClaims(payload, question);
    const { jkt } = key;
    const expected = question.expectedThumbprint;
    requireThat(expected === undefined || expected === jkt, 'the proof is made with another key');
    verifySignature(proof, key);
    return { ok: true, jkt, jti, iat, replayKey: replayKeyOf(jkt, jti) };
  } catch (error) {
    if (error instanceof ProofRefusal) return { ok: false, reason: error.message };
    if (error instanceof CompactJwsError) return { ok: false, reason: `the proof cannot be read: ${error.message}` };
    throw error;
  }
}

function singleProof(proof: DpopQuestion['proof']): string {
  const proofs = typeof proof === 'string' ? [proof] : (proof ?? []);
  requireThat(proofs.length > 0, 'there is no `DPoP` header');
  requireThat(proofs.length === 1, 'there is more than one `DPoP` header');
  return proofs[0]!;
}

function checkClaims(payload: JsonObject, question: DpopQuestion): { readonly jti: string; readonly iat: number } {
  const claim = (name: string) => ownMember(payload, name);
  const [jti, iat, ath] = [claim('jti'), claim('iat'), claim('ath')];
  requireThat(isProofId(jti), "the proof's `jti` is not a text of 1 to 256 characters");
  requireThat(claim('htm') === question.method, "the proof's `htm` is not the method of this call");
  requireThat(isSameUri(claim('htu'), question.url), "the proof's `htu` is not the address of this call");
  requireThat(typeof iat === 'number' && Number.isFinite(iat), "the proof's `iat` is not a number");
  checkAge(iat, question);
  if (question.ath === undefined) requireThat(ath === undefined, 'a proof without a token has no `ath`');
  else requireThat(ath === question.ath, "the proof's `ath` is not the hash of the token");
  return { jti, iat };
}

function checkAge(iat: number, { now, notBefore, maxAgeSeconds = 60, maxFutureSeconds = 10 }: DpopQuestion): void {
  requireThat(now - iat * 1_000 <= maxAgeSeconds * 1_000, 'the proof is too old');
  requireThat(iat * 1_000 - now <= maxFutureSeconds * 1_000, "the proof's `iat` lies in the future");
  requireThat(notBefore === undefined || iat * 1_000 >= notBefore, 'the proof is older than this process');
}

function isSameUri(htu: unknown, url: string): boolean {
  // Nearly always they are the same text, and what normalization would make of it does not matter.
  if (htu === url) return true;
  const expected = normalizeHttpUri(url);
  return typeof htu === 'string' && expected !== null && normalizeHttpUri(htu) === expected;
}
