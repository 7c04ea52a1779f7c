import { createHash } from 'node:crypto';
import type { CredentialId, DeviceId, GrantId, PersonId, TenantId } from '../domain/ids.ts';
import type { Signer } from './keys.ts';
import { signJwt } from './sign-jwt.ts';

/** The longest that a credential lives, in seconds. Contract §6 allows ten minutes. */
export const credentialLifetime = 300;

/** What a credential says (contract §6, RFC 9068). Times are seconds since the epoch. */
export interface CredentialClaims {
  readonly iss: string;
  readonly sub: PersonId;
  readonly aud: string;
  readonly client_id: 'latchkey';
  readonly jti: CredentialId;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly scope: string;
  readonly grant: GrantId;
  readonly tenant: TenantId;
  readonly cnf: { readonly jkt: string };
}

/**
 * The claims of a credential for one device, or null when the grant ends before a whole second of it is left.
 * `exp` is rounded down, so that no credential outlives its grant.
 */
export function credentialClaims(about: {
  readonly issuer: string;
  readonly id: CredentialId;
  readonly person: PersonId;
  readonly device: DeviceId;
  readonly tenant: TenantId;
  readonly grant: GrantId;
  readonly scopes: readonly string[];
  readonly keyThumbprint: string;
  readonly expiresAt: Date;
  readonly now: Date;
}): CredentialClaims | null {
  const iat = Math.floor(about.now.getTime() / 1000);
  const exp = Math.min(iat + credentialLifetime, Math.floor(about.expiresAt.getTime() / 1000));
  if (exp <= iat) return null;
  return {
    iss: about.issuer,
    sub: about.person,
    aud: deviceAudience(about.device),
    client_id: 'latchkey',
    jti: about.id,
    iat,
    nbf: iat,
    exp,
    scope: about.scopes.join(' '),
    grant: about.grant,
    tenant: about.tenant,
    cnf: { jkt: about.keyThumbprint },
  };
}

/** The audience of everything that is meant for one device. */
export function deviceAudience(device: DeviceId): string {
  return `urn:latchkey:device:${device}`;
}

/** Signs a credential (ES256). @returns its text and the SHA-256 of it, which the ledger keeps. */
export async function signCredential(
  signer: Signer,
  claims: CredentialClaims,
): Promise<{ readonly jwt: string; readonly hash: Buffer }> {
  const jwt = signJwt(signer, 'at+jwt', claims);
  return { jwt, hash: createHash('sha256').update(jwt).digest() };
}
