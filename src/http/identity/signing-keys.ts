import { importJWK, type CryptoKey } from 'jose';
import { ownMember, type JsonObject } from '../../domain/compact-jws.ts';

/** Every algorithm a provider may sign with, and the kind of key it needs. No other one exists here (RFC 8725 §3.1). */
const keyKinds = {
  RS256: 'RSA',
  RS384: 'RSA',
  RS512: 'RSA',
  PS256: 'RSA',
  PS384: 'RSA',
  PS512: 'RSA',
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
} as const;

export type SigningAlgorithm = keyof typeof keyKinds;

export function isSigningAlgorithm(alg: string): alg is SigningAlgorithm {
  return Object.hasOwn(keyKinds, alg);
}

/** A provider's public key, as far as it may sign tokens. */
export interface SigningKey {
  readonly kid: string | null;
  /** Whether a token with this `alg` may be signed by this key. */
  fits(alg: SigningAlgorithm): boolean;
  /** The key for one algorithm; imported once and the same object each time. */
  forAlgorithm(alg: SigningAlgorithm): Promise<CryptoKey>;
}

const maxKeys = 100;
const minModulusBits = 2_048;
const maxModulusBits = 8_192;
const secretMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

/**
 * The keys of a JWK set (RFC 7517 §5) that may verify tokens. Keys of another use, kind or strength are left out, as
 * the RFC asks; so are those that give away a secret.
 * @throws Error when the document is no key set or holds more than 100 keys.
 */
export function readKeySet(document: unknown): readonly SigningKey[] {
  const keys = isObject(document) ? ownMember(document, 'keys') : undefined;
  if (!Array.isArray(keys)) throw new Error('the key set has no `keys`');
  if (keys.length > maxKeys) throw new Error(`the key set holds more than ${maxKeys} keys`);
  return keys.flatMap((jwk: unknown) => (isObject(jwk) ? readKey(jwk) : []));
}

function readKey(jwk: JsonObject): SigningKey[] {
  const publicPart = publicPartOf(jwk);
  if (!publicPart || !mayVerify(jwk)) return [];
  const { kind, members } = publicPart;
  const kid = ownMember(jwk, 'kid');
  const onlyFor = ownMember(jwk, 'alg');
  const imported = new Map<SigningAlgorithm, Promise<CryptoKey>>();
  return [
    {
      kid: typeof kid === 'string' ? kid : null,
      fits: (alg) => keyKinds[alg] === kind && (onlyFor === undefined || sameAlgorithm(onlyFor, alg)),
      forAlgorithm: (alg) => {
        const key = imported.get(alg) ?? importJWK(members, alg);
        imported.set(alg, key);
        return key;
      },
    },
  ];
}

/** RFC 7517 §4.2 and §4.3: both members are optional, and each one that is there must allow it. */
function mayVerify(jwk: JsonObject): boolean {
  const use = ownMember(jwk, 'use');
  const operations = ownMember(jwk, 'key_ops');
  const forSignatures = use === undefined || use === 'sig';
  return forSignatures && (operations === undefined || (Array.isArray(operations) && operations.includes('verify')));
}

type PublicMembers =
  | { kty: 'RSA'; n: string; e: string }
  | { kty: 'EC'; crv: string; x: string; y: string }
  | { kty: 'OKP'; crv: string; x: string };

function publicPartOf(jwk: JsonObject): { kind: string; members: PublicMembers } | null {
  if (secretMembers.some((name) => Object.hasOwn(jwk, name))) return null;
  const text = (name: string): string => {
    const value = ownMember(jwk, name);
    return typeof value === 'string' ? value : '';
  };
  switch (ownMember(jwk, 'kty')) {
    case 'RSA': {
      const members = { kty: 'RSA', n: text('n'), e: text('e') } as const;
      return isStrongRsa(members) ? { kind: 'RSA', members } : null;
    }
    case 'EC':
      return { kind: text('crv'), members: { kty: 'EC', crv: text('crv'), x: text('x'), y: text('y') } };
    case 'OKP':
      return { kind: text('crv'), members: { kty: 'OKP', crv: text('crv'), x: text('x') } };
    default:
      return null;
  }
}

/** RFC 7518 §3.3 asks for 2,048 bits; an exponent of 1, or an even one, would make any text its own signature. */
function isStrongRsa({ n, e }: { n: string; e: string }): boolean {
  const modulus = bitLength(n);
  const exponent = Buffer.from(e, 'base64url');
  const odd = (exponent.at(-1) ?? 0) % 2 === 1;
  return modulus >= minModulusBits && modulus <= maxModulusBits && odd && bitLength(e) >= 2;
}

function bitLength(number: string): number {
  const bytes = Buffer.from(number, 'base64url');
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? 0 : (bytes.length - first) * 8 - (Math.clz32(bytes[first]!) - 24);
}

/** `Ed25519` is the name RFC 9864 gives to what `EdDSA` was with such a key. */
function sameAlgorithm(named: unknown, alg: SigningAlgorithm): boolean {
  return named === alg || (keyKinds[alg] === 'Ed25519' && (named === 'EdDSA' || named === 'Ed25519'));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
