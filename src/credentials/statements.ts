import { jwtVerify } from 'jose';
import { requireCanonicalCompactJws } from '../domain/compact-jws.ts';
import { isId, type DeviceId, type GrantId, type PersonId } from '../domain/ids.ts';
import { deviceAudience } from './credential.ts';
import type { Signer } from './keys.ts';
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
    /** The id of the ledger's newest key, for devices that do not know it yet: a hint to look for its proof. */
    readonly newestLedgerKey?: string | undefined;
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
