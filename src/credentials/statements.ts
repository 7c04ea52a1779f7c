import { jwtVerify } from 'jose';
import { requireCanonicalCompactJws } from '../domain/compact-jws.ts';
import { isId, type DeviceId, type GrantId, type PersonId } from '../domain/ids.ts';
import { localAdmin, localSecretTypes } from '../domain/local-admin.ts';
import { deviceAudience } from './credential.ts';
import type { Signer } from './keys.ts';
import type { Password } from './password.ts';
import { signJwt } from './sign-jwt.ts';

/** For how long a device may rely on a list of live grants, in seconds: the longest that a cut-off device stays open. */
export const liveGrantsLifetime = 60;

/** How long an agent's token is good for, in seconds. */
export const agentTokenLifetime = 300;

/** Signs the list of what is live on a device (contract §8). */
export async function signLiveGrants(
  signer: Signer,
  issuer: string,
  list: {
    readonly device: DeviceId;
    readonly version: number;
    readonly readAt: Date;
    readonly keys: readonly string[];
    /** The vkey of the ledger's newest key, for devices that do not know it yet: a hint to look for its proof. */
    readonly newestLedgerKey?: string | undefined;
    /** Which password the device is to have, and which it has said that it has; null for a device that has none. */
    readonly localAdmin: { readonly wanted: number; readonly confirmed: number } | null;
    readonly grants: readonly {
      readonly id: GrantId;
      readonly person: PersonId;
      readonly scopes: readonly string[];
      readonly startsAt: Date;
      readonly expiresAt: Date;
    }[];
  },
): Promise<string> {
  // `iat` keeps its milliseconds (RFC 7519 §2 allows a fraction): the agent sets its clock by it.
  const iat = list.readAt.getTime() / 1000;
  return signJwt(signer, 'live-grants+jwt', {
    iss: issuer,
    aud: deviceAudience(list.device),
    iat,
    exp: iat + liveGrantsLifetime,
    version: list.version,
    keys: list.keys,
    newestLedgerKey: list.newestLedgerKey,
    grants: list.grants,
    ...(list.localAdmin && { secrets: { [localAdmin]: list.localAdmin } }),
  });
}

/** For how long a device may take a new password out of a statement, in seconds. */
const localSecretLifetime = 60;

/**
 * Signs what a device is to set as its local administrator's password: `secret`, `generation`, the `password` with the
 * `salt` of its commitment (base64url), and the `receipt` of the event that commits to it. It leaves only encrypted.
 */
export function signLocalSecret(
  signer: Signer,
  issuer: string,
  secret: {
    readonly device: DeviceId;
    readonly generation: number;
    readonly password: Password;
    readonly salt: Buffer;
    readonly receipt: string;
  },
  now: Date,
): string {
  const iat = Math.floor(now.getTime() / 1000);
  return signJwt(signer, localSecretTypes.jwt, {
    iss: issuer,
    aud: deviceAudience(secret.device),
    iat,
    exp: iat + localSecretLifetime,
    secret: localAdmin,
    generation: secret.generation,
    password: secret.password.reveal(),
    salt: secret.salt.toString('base64url'),
    receipt: secret.receipt,
  });
}

/** Signs the token by which a device calls the broker. */
export async function signAgentToken(signer: Signer, issuer: string, device: DeviceId, now: Date): Promise<string> {
  const iat = Math.floor(now.getTime() / 1000);
  const exp = iat + agentTokenLifetime;
  return signJwt(signer, 'latchkey-agent+jwt', { iss: issuer, sub: device, aud: issuer, iat, exp });
}

/**
 * The device that an agent's token speaks for; null for anything that is not a valid token of this broker's.
 * @param signers the keys whose signatures count now.
 */
export async function verifyAgentToken(
  signers: readonly Signer[],
  issuer: string,
  token: string,
  now: Date,
): Promise<DeviceId | null> {
  try {
    const { header } = requireCanonicalCompactJws(token, { maxLength: 4_096 });
    const signer = signers.find(({ kid }) => kid === header.kid);
    if (!signer) return null;
    const { payload } = await jwtVerify(token, signer.publicKey, {
      algorithms: ['ES256'],
      typ: 'latchkey-agent+jwt',
      issuer,
      audience: issuer,
      requiredClaims: ['sub', 'iat', 'exp'],
      currentDate: now,
    });
    if (typeof payload.aud !== 'string') return null;
    return isId('device', payload.sub) ? payload.sub : null;
  } catch {
    return null;
  }
}
