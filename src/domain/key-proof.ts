import { hash, type KeyObject } from 'node:crypto';
import { decodeBase64url } from './base64.ts';
import { ownMember, type CompactJws, type JsonObject } from './compact-jws.ts';
import { hasEs256Signature, publicKeyOnP256 } from './es256.ts';

/** Why a proof that brings its own key is not believed: one sentence without secrets. */
export class ProofRefusal extends Error {}

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

/** The key that a proof brings along: a point on P-256 and its RFC 7638 thumbprint. */
export interface PublicKey {
  readonly x: string;
  readonly y: string;
  /** RFC 7638 thumbprint. */
  readonly jkt: string;
}

/** The keys of headers that were read before: a client sends the same one with every proof. */
const keysOfHeaders = new WeakMap<CompactJws['header'], PublicKey>();

/** The key in a proof's `jwk` header. @throws ProofRefusal for anything but one public EC key on P-256. */
export function publicKeyOf(header: CompactJws['header']): PublicKey {
  const known = keysOfHeaders.get(header);
  if (known) return known;
  const jwk = ownMember(header, 'jwk');
  requireThat(isObject(jwk), 'the proof brings no key in `jwk`');
  requireThat(!hasPrivateMember(jwk), 'the proof gives away a private key');
  const key = readPublicKey(jwk, "the proof's key");
  keysOfHeaders.set(header, key);
  return key;
}

/** A public EC key on P-256, given as a JWK. Whether the point is on the curve is for its use to find out. @throws ProofRefusal */
export function readPublicKey(jwk: unknown, name: string): PublicKey {
  requireThat(isObject(jwk) && !hasPrivateMember(jwk), `${name} is not a public key`);
  const [kty, crv, x, y] = ['kty', 'crv', 'x', 'y'].map((member) => ownMember(jwk, member));
  requireThat(kty === 'EC' && crv === 'P-256', `${name} is not an EC key on P-256`);
  requireThat(isCoordinate(x) && isCoordinate(y), `${name} is malformed`);
  return { x: x as string, y: y as string, jkt: thumbprint(x as string, y as string) };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hasPrivateMember(jwk: JsonObject): boolean {
  return privateMembers.some((name) => Object.hasOwn(jwk, name));
}

/** INVARIANT: a coordinate has one spelling, so that a key has one thumbprint. */
function isCoordinate(value: unknown): boolean {
  return typeof value === 'string' && value.length === 43 && decodeBase64url(value) !== null;
}

/** RFC 7638 §3: the required members, sorted, without whitespace. */
function thumbprint(x: string, y: string): string {
  return sha256(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`);
}

/** Importing costs more than verifying, and a client keeps its key: the last ones that signed anything are kept. */
const knownKeys = new Map<string, KeyObject>();
const maxKnownKeys = 1_024;

/** @throws ProofRefusal unless the proof is signed by that key. */
export function verifySignature(proof: string, { x, y, jkt }: PublicKey): void {
  const key = knownKeys.get(jkt) ?? importPublicKey(x, y);
  requireThat(key !== null && hasEs256Signature(proof, key), "the proof's signature does not verify");
  knownKeys.delete(jkt);
  knownKeys.set(jkt, key);
  if (knownKeys.size > maxKnownKeys) knownKeys.delete(knownKeys.keys().next().value!);
}

function importPublicKey(x: string, y: string): KeyObject | null {
  try {
    return publicKeyOnP256(x, y);
  } catch {
    return null;
  }
}

/** base64url SHA-256 over key and `jti`: what a proof that counts once is remembered by. */
export function replayKeyOf(jkt: string, jti: string): string {
  return sha256(`${jkt.length}:${jkt}${jti}`);
}

/** A text that can stand for one proof. */
export function isProofId(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= 256 && value.isWellFormed();
}

function sha256(text: string): string {
  return hash('sha256', text, 'base64url');
}

/** @throws ProofRefusal with that sentence unless the condition holds. */
export function requireThat(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new ProofRefusal(otherwise);
}
