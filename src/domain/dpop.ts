import { hash, type KeyObject } from 'node:crypto';
import { decodeBase64url } from './base64.ts';
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
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

class ProofRefusal extends Error {}

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
  /** RFC 7638 thumbprint. */
  readonly jkt: string;
}

/** The keys of headers that were read before: a client sends the same one with every proof. */
const keysOfHeaders = new WeakMap<CompactJws['header'], PublicKey>();

function publicKeyOf(header: CompactJws['header']): PublicKey {
  const known = keysOfHeaders.get(header);
  if (known) return known;
  const key = readPublicKey(header);
  keysOfHeaders.set(header, key);
  return key;
}

function readPublicKey(header: CompactJws['header']): PublicKey {
  const jwk = ownMember(header, 'jwk');
  requireThat(typeof jwk === 'object' && jwk !== null && !Array.isArray(jwk), 'the proof brings no key in `jwk`');
  const members = jwk as JsonObject;
  requireThat(!privateMembers.some((name) => Object.hasOwn(members, name)), 'the proof gives away a private key');
  const [kty, crv, x, y] = ['kty', 'crv', 'x', 'y'].map((name) => ownMember(members, name));
  requireThat(kty === 'EC' && crv === 'P-256', "the proof's key is not an EC key on P-256");
  requireThat(isCoordinate(x) && isCoordinate(y), "the proof's key is malformed");
  return { x: x as string, y: y as string, jkt: thumbprint(x as string, y as string) };
}

/** INVARIANT: a coordinate has one spelling, so that a key has one thumbprint. */
function isCoordinate(value: unknown): boolean {
  return typeof value === 'string' && value.length === 43 && decodeBase64url(value) !== null;
}

function checkClaims(payload: JsonObject, question: DpopQuestion): { readonly jti: string; readonly iat: number } {
  const claim = (name: string) => ownMember(payload, name);
  const [jti, iat, ath] = [claim('jti'), claim('iat'), claim('ath')];
  requireThat(isProofId(jti), "the proof's `jti` is not a text of 1 to 256 characters");
  requireThat(claim('htm') === question.method, "the proof's `htm` is not the method of this call");
  requireThat(isSameUri(claim('htu'), question.url), "the proof's `htu` is not the address of this call");
  requireThat(typeof iat === 'number' && Number.isFinite(iat), "the proof's `iat` is not a number");
  checkAge(iat as number, question);
  if (question.ath === undefined) requireThat(ath === undefined, 'a proof without a token has no `ath`');
  else requireThat(ath === question.ath, "the proof's `ath` is not the hash of the token");
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
function thumbprint(x: string, y: string): string {
  return sha256(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`);
}

/** Importing costs more than verifying, and a client keeps its key: the last ones that signed anything are kept. */
const knownKeys = new Map<string, KeyObject>();
const maxKnownKeys = 1_024;

function verifySignature(proof: string, { x, y, jkt }: PublicKey): void {
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
