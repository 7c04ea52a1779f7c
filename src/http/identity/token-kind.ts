import { ownMember, type CompactJws, type JsonObject } from '../../domain/compact-jws.ts';

/**
 * Tells an access token that a person's client was given from everything else an OpenID provider signs.
 *
 * `at+jwt` (RFC 9068 §2.1) says so itself. Under `JWT`, which ID tokens carry too, a token must show that access was
 * delegated: a non-empty `scope` or `scp`, or a `client_id`; no ID token has any of these. `azp` proves nothing, ID
 * tokens have it. Whatever the type: what only ID, logout or refresh tokens carry, a token that stands for an
 * application, and one bound to a key are refused.
 * @returns why the token is not a person's access token, or null when it is one.
 */
export function whyNotAPersonsAccessToken({ header, payload }: CompactJws, subject: string): string | null {
  return wrongType(header.typ, payload) ?? otherKind(payload) ?? applications(payload, subject) ?? keyBound(payload);
}

const accessTokenTypes = ['at+jwt', 'application/at+jwt'];

function wrongType(typ: string | undefined, claims: JsonObject): string | null {
  if (typ !== undefined && accessTokenTypes.includes(typ)) return null;
  if (typ !== 'JWT') return 'its `typ` is neither `at+jwt` nor `JWT`';
  if (hasScope(claims)) return null;
  // Entra's application tokens have `roles` where those of people have `scp`.
  if (Object.hasOwn(claims, 'roles')) return 'it has `roles` and no scope, so it stands for an application';
  return text(claims, 'client_id') === null ? 'it is of type `JWT` and shows no delegated access' : null;
}

function hasScope(claims: JsonObject): boolean {
  return ['scope', 'scp'].some((name) => {
    const value = ownMember(claims, name);
    return Array.isArray(value) ? value.length > 0 : typeof value === 'string' && value.trim() !== '';
  });
}

/** OpenID Connect Core 1.0 §2 and §3.3.2.11 (ID tokens), Back-Channel Logout 1.0 §2.4 and RFC 8417 (`events`). */
const membersOfOtherTokens = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events'];

/** Claims by which some providers say outright what a token is, and what they say of an access token of a person. */
const tellingClaims: readonly (readonly [string, string])[] = [
  ['typ', 'Bearer'], // Keycloak
  ['token_use', 'access'], // Amazon Cognito
  ['idtyp', 'user'], // Microsoft Entra
];

function otherKind(claims: JsonObject): string | null {
  const foreign = membersOfOtherTokens.find((name) => Object.hasOwn(claims, name));
  if (foreign !== undefined) return `it has \`${foreign}\`, which no access token has`;
  for (const [name, expected] of tellingClaims) {
    if (Object.hasOwn(claims, name) && claims[name] !== expected) return `its \`${name}\` is not \`${expected}\``;
  }
  return null;
}

/** RFC 9068 §5: with nobody behind it, a token's subject is its client. The rest is how providers write it. */
function applications(claims: JsonObject, subject: string): string | null {
  const subjects = [subject, text(claims, 'sub')];
  const clients = clientIds(claims);
  if (clients.some((client) => subjects.includes(client) || subjects.includes(`${client}@clients`))) {
    return 'its subject is its client, so it stands for an application';
  }
  const grantTypes = [ownMember(claims, 'gty')].flat();
  if (grantTypes.some((type) => type === 'client-credentials' || type === 'client_credentials')) {
    return 'its `gty` says that it stands for an application';
  }
  const username = text(claims, 'preferred_username');
  if (clients.some((client) => username?.toLowerCase() === `service-account-${client}`.toLowerCase())) {
    return 'it is of a service account';
  }
  return null;
}

/** RFC 9449 §7.2 and RFC 7800: sent as Bearer, nobody proves to hold the key. */
function keyBound(claims: JsonObject): string | null {
  return Object.hasOwn(claims, 'cnf') ? 'it is bound to a key and was sent as Bearer' : null;
}

/** Every claim by which providers name the client a token was given to; the first is the standard's. */
export function clientIds(claims: JsonObject): readonly string[] {
  return ['client_id', 'azp', 'appid', 'cid'].map((name) => text(claims, name)).filter((id) => id !== null);
}

function text(claims: JsonObject, name: string): string | null {
  const value = ownMember(claims, name);
  return typeof value === 'string' && value !== '' ? value : null;
}
