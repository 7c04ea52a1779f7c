import { hash, type KeyObject } from 'node:crypto';
import {
  CompactJwsError,
  ownMember,
  requireCanonicalCompactJws,
  type CompactJws,
  type JsonObject,
} from './compact-jws.ts';
import { hasEs256Signature, publicKeyOnP256 } from './es256.ts';
import { normalizeHttpUri } from './http-uri.ts';

export interface DpopQuestion {
  /** The `DPoP` header as `headersDistinct` gives it: Node's `headers` would join repeated ones. */
  readonly proof: string | readonly string[] | undefined;
  readonly method: string;
  /** The URL the caller was meant to use, from configuration, never from `Host` or `X-Forwarded-*`. */
  readonly url: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The token the proof comes with; then `ath` is required, otherwise it is refused. */
  readonly accessToken?: string;
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
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

class ProofRefusal extends Error {}

/**
 * Verifies a DPoP proof: every check of RFC 9449 §4.3 but the nonce (none is ever issued), for EC P-256 keys with
 * ES256. Replay is the caller's to refuse, by `replayKey`. A refusal's reason is one sentence without secrets.
 */
export async function verifyDpopProof(question: DpopQuestion): Promise<DpopVerdict> {
  try {
    const proof = singleProof(question.proof);
    const { header, payload } = requireCanonicalCompactJws(proof, { maxLength: maxProofLength, allowJwk: true });
    requireThat(header.typ === 'dpop+jwt', "the proof's `typ` is not `dpop+jwt`");
    requireThat(header.alg === 'ES256', "the proof's `alg` is not `ES256`");
    const key = publicKeyOf(header);
    const { jti, iat } = checkClaims(payload, question);
    const jkt = thumbprint(key);
    const expected = question.expectedThumbprint;
    requireThat(expected === undefined || expected === jkt, 'the proof is made with another key');
    verifySignature(proof, key, jkt);
    return { ok: true, jkt, jti, iat, replayKey: sha256(`${jkt.length}:${jkt}${jti}`) };
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

interface PublicKey {
  readonly x: string;
  readonly y: string;
}

function publicKeyOf(header: CompactJws['header']): PublicKey {
  const jwk = ownMember(header, 'jwk');
  requireThat(typeof jwk === 'object' && jwk !== null && !Array.isArray(jwk), 'the proof brings no key in `jwk`');
  const members = jwk as JsonObject;
  requireThat(!privateMembers.some((name) => Object.hasOwn(members, name)), 'the proof gives away a private key');
  const [kty, crv, x, y] = ['kty', 'crv', 'x', 'y'].map((name) => ownMember(members, name));
  requireThat(kty === 'EC' && crv === 'P-256', "the proof's key is not an EC key on P-256");
  requireThat(isCoordinate(x) && isCoordinate(y), "the proof's key is malformed");
  return { x: x as string, y: y as string };
}

/** INVARIANT: a coordinate has one spelling, so that a key has one thumbprint. */
function isCoordinate(value: unknown): boolean {
  if (typeof value !== 'string' || value.length !== 43) return false;
  return Buffer.from(value, 'base64url').toString('base64url') === value;
}

function checkClaims(payload: JsonObject, question: DpopQuestion): { readonly jti: string; readonly iat: number } {
  const [jti, htm, htu, iat, ath] = ['jti', 'htm', 'htu', 'iat', 'ath'].map((name) => ownMember(payload, name));
  requireThat(isProofId(jti), "the proof's `jti` is not a text of 1 to 256 characters");
  requireThat(htm === question.method, "the proof's `htm` is not the method of this call");
  requireThat(isSameUri(htu, question.url), "the proof's `htu` is not the address of this call");
  requireThat(typeof iat === 'number' && Number.isFinite(iat), "the proof's `iat` is not a number");
  checkAge(iat as number, question);
  const { accessToken } = question;
  if (accessToken === undefined) requireThat(ath === undefined, 'a proof without a token has no `ath`');
  else requireThat(ath === sha256(accessToken), "the proof's `ath` is not the hash of the token");
  return { jti: jti as string, iat: iat as number };
}

function checkAge(iat: number, { now, notBefore, maxAgeSeconds = 60, maxFutureSeconds = 10 }: DpopQuestion): void {
  requireThat(now - iat * 1_000 <= maxAgeSeconds * 1_000, 'the proof is too old');
  requireThat(iat * 1_000 - now <= maxFutureSeconds * 1_000, "the proof's `iat` lies in the future");
  requireThat(notBefore === undefined || iat * 1_000 >= notBefore, 'the proof is older than this process');
}

function isProofId(value: unknown): boolean {
  return typeof value === 'string' && value.length >= 1 && value.length <= 256 && value.isWellFormed();
}

function isSameUri(htu: unknown, url: string): boolean {
  // Nearly always they are the same text, and what normalization would make of it does not matter.
  if (htu === url) return true;
  const expected = normalizeHttpUri(url);
  return typeof htu === 'string' && expected !== null && normalizeHttpUri(htu) === expected;
}

/** RFC 7638 §3: the required members, sorted, without whitespace. */
function thumbprint({ x, y }: PublicKey): string {
  return sha256(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`);
}

/** Importing costs more than verifying, and a client keeps its key: the last ones that signed anything are kept. */
const knownKeys = new Map<string, KeyObject>();
const maxKnownKeys = 1_024;

function verifySignature(proof: string, { x, y }: PublicKey, jkt: string): void {
  const key = knownKeys.get(jkt) ?? importPublicKey(x, y);
  requireThat(key !== null && hasEs256Signature(proof, key), "the proof's signature does not verify");
  knownKeys.delete(jkt);
  knownKeys.set(jkt, key!);
  if (knownKeys.size > maxKnownKeys) knownKeys.delete(knownKeys.keys().next().value!);
}

function importPublicKey(x: string, y: string): KeyObject | null {
  try {
    return publicKeyOnP256(x, y);
  } catch {
    return null;
  }
}

function sha256(text: string): string {
  return hash('sha256', text, 'base64url');
}

function requireThat(condition: boolean, otherwise: string): void {
  if (!condition) throw new ProofRefusal(otherwise);
}
