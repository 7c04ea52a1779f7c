import { CompactJwsError, ownMember, requireCanonicalCompactJws, type JsonObject } from './compact-jws.ts';
import { publicKeyOnP256 } from './es256.ts';
import type { DeviceId, GrantId } from './ids.ts';
import {
  isProofId,
  ProofRefusal,
  publicKeyOf,
  readPublicKey,
  replayKeyOf,
  requireThat,
  verifySignature,
  type PublicKey,
} from './key-proof.ts';

/** The type of the JWS by which a holder asks for a secret, and of the JWE in which it comes. */
export const secretRequestType = 'latchkey-secret-request+jwt';
export const releasedSecretType = 'latchkey-released-secret+jwe';

export interface SecretQuestion {
  readonly proof: string;
  /** The broker's `publicUrl`. */
  readonly issuer: string;
  readonly grant: GrantId;
  readonly device: DeviceId;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly maxAgeSeconds: number;
  readonly maxFutureSeconds: number;
}

export type SecretVerdict =
  | {
      readonly ok: true;
      /** RFC 7638 thumbprint of the key that signed: the one that the grant has to be bound to. */
      readonly jkt: string;
      /** To whom the secret is encrypted; good for this one answer. */
      readonly oneTimeKey: PublicKey;
      /** By which whoever accepts the request must see to it that it counts once. */
      readonly replayKey: string;
    }
  | { readonly ok: false; readonly reason: string };

const maxLength = 4_096;

/**
 * Verifies what a holder asks for a secret with: a JWS by the key that its header brings (EC P-256, ES256), for this
 * broker, grant and device, freshly made, with the one-time key to which the answer is encrypted in `key`. A refusal's
 * reason is one sentence without secrets. Replay is the caller's to refuse, by `replayKey`.
 */
export function verifySecretRequest(question: SecretQuestion): SecretVerdict {
  try {
    const { header, payload } = requireCanonicalCompactJws(question.proof, { maxLength, allowJwk: true });
    requireThat(header.typ === secretRequestType, `the proof's \`typ\` is not \`${secretRequestType}\``);
    requireThat(header.alg === 'ES256', "the proof's `alg` is not `ES256`");
    const key = publicKeyOf(header);
    const jti = checkClaims(payload, question);
    const oneTimeKey = readPublicKey(ownMember(payload, 'key'), 'the one-time key');
    requireThat(isOnCurve(oneTimeKey), 'the one-time key is not on its curve');
    // A key is for signing or for this, never for both.
    requireThat(oneTimeKey.jkt !== key.jkt, 'the one-time key is the key that signs');
    verifySignature(question.proof, key);
    return { ok: true, jkt: key.jkt, oneTimeKey, replayKey: replayKeyOf(key.jkt, jti) };
  } catch (error) {
    if (error instanceof ProofRefusal) return { ok: false, reason: error.message };
    if (error instanceof CompactJwsError) return { ok: false, reason: `the proof cannot be read: ${error.message}` };
    throw error;
  }
}

function checkClaims(payload: JsonObject, question: SecretQuestion): string {
  const claim = (name: string) => ownMember(payload, name);
  const [jti, iat] = [claim('jti'), claim('iat')];
  requireThat(isProofId(jti), "the proof's `jti` is not a text of 1 to 256 characters");
  requireThat(claim('aud') === question.issuer, "the proof's `aud` is not this broker");
  requireThat(claim('grant') === question.grant, "the proof's `grant` is not that of this call");
  requireThat(claim('device') === question.device, "the proof's `device` is not that of this call");
  requireThat(typeof iat === 'number' && Number.isFinite(iat), "the proof's `iat` is not a number");
  const age = question.now - iat * 1_000;
  requireThat(age <= question.maxAgeSeconds * 1_000, 'the proof is too old');
  requireThat(-age <= question.maxFutureSeconds * 1_000, "the proof's `iat` lies in the future");
  return jti;
}

function isOnCurve({ x, y }: PublicKey): boolean {
  try {
    publicKeyOnP256(x, y);
    return true;
  } catch {
    return false;
  }
}
