import { isId, type CredentialId, type DeviceId, type GrantId, type PersonId, type TenantId } from '../domain/ids.ts';
import { ownMember, type JsonObject } from '../domain/compact-jws.ts';
import { Refusal } from './refusal.ts';

/** The longest life of a credential, in seconds (contract §6). */
export const longestLife = 600;

/** What a credential says, once its signature is verified. Times are seconds since the epoch, as in the JWT. */
export interface CredentialClaims {
  readonly id: CredentialId;
  readonly person: PersonId;
  readonly grant: GrantId;
  readonly scopes: readonly string[];
  /** RFC 7638 thumbprint of the only key that may use it. */
  readonly jkt: string;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
}

export interface ExpectedClaims {
  readonly issuer: string;
  readonly device: DeviceId;
  readonly tenant: TenantId;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const scopePattern = /^[a-z][a-z0-9.-]*(?::[a-z0-9.-]+)?$/;

/**
 * Reads the claims of contract §6, each of them mandatory, in the order of the refusals: issuer, device and tenant,
 * end, beginning. A claim that is missing fails the check it is there for; one without a check of its own (`sub`,
 * `jti`, `client_id`, `grant`, `scope`, `cnf`) makes the token no credential.
 * @throws Refusal `wrong-type`, `wrong-issuer`, `wrong-device`, `expired` or `not-yet-valid`.
 */
export function readCredentialClaims(payload: JsonObject, expected: ExpectedClaims): CredentialClaims {
  const claim = (name: string) => ownMember(payload, name);
  const identity = readIdentity(claim);
  if (claim('iss') !== expected.issuer) throw new Refusal('wrong-issuer', 'the credential is of another issuer');
  if (claim('aud') !== `urn:latchkey:device:${expected.device}`) {
    throw new Refusal('wrong-device', 'the credential is for another device');
  }
  if (claim('tenant') !== expected.tenant) throw new Refusal('wrong-device', 'the credential is of another tenant');
  return { ...identity, ...readTimes(claim, expected.now) };
}

type Claim = (name: string) => unknown;

function readIdentity(claim: Claim): Pick<CredentialClaims, 'id' | 'person' | 'grant' | 'scopes' | 'jkt'> {
  const [id, person, grant] = [claim('jti'), claim('sub'), claim('grant')];
  const scopes = readScopes(claim('scope'));
  const jkt = readThumbprint(claim('cnf'));
  const isCredential = isId('credential', id) && isId('person', person) && isId('grant', grant);
  if (!isCredential || claim('client_id') !== 'latchkey' || !scopes || !jkt) {
    throw new Refusal('wrong-type', 'the token lacks a claim that every credential has');
  }
  const [exp, iat] = [claim('exp'), claim('iat')];
  if (isTime(exp) && isTime(iat) && exp - iat > longestLife) {
    throw new Refusal('wrong-type', 'the token lives longer than any credential may');
  }
  return { id, person, grant, scopes, jkt };
}

function readScopes(value: unknown): readonly string[] | null {
  if (typeof value !== 'string') return null;
  const scopes = value.split(' ');
  return scopes.every((scope) => scopePattern.test(scope)) ? scopes : null;
}

/** RFC 7800 §3.1: one key and no other; a `cnf` with more members than `jkt` is not understood, so not honoured. */
function readThumbprint(cnf: unknown): string | null {
  if (typeof cnf !== 'object' || cnf === null || Object.keys(cnf).length !== 1) return null;
  const jkt = ownMember(cnf as JsonObject, 'jkt');
  return typeof jkt === 'string' && /^[A-Za-z0-9_-]{43}$/.test(jkt) ? jkt : null;
}

/** INVARIANT: compared to the millisecond and without leeway; at the very millisecond of `exp` it is over. */
function readTimes(claim: Claim, now: number): Pick<CredentialClaims, 'iat' | 'nbf' | 'exp'> {
  const [exp, nbf, iat] = [claim('exp'), claim('nbf'), claim('iat')];
  if (!isTime(exp) || now >= exp * 1_000) throw new Refusal('expired', 'the credential has run out');
  if (!isTime(nbf) || !isTime(iat) || now < nbf * 1_000 || now < iat * 1_000) {
    throw new Refusal('not-yet-valid', 'the credential is not valid yet');
  }
  return { iat, nbf, exp };
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}
