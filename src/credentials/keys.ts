import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import type { KeyTimes } from '../domain/key-schedule.ts';
import { localSecretTypes } from '../domain/local-admin.ts';
import { formatVkey } from '../ledger/vkey.ts';
import { createKeyRing, type KeyRing } from './key-ring.ts';
import type { Vault } from './vault.ts';

/** The types of JWT that each of the broker's keys may sign. A verifier refuses any other. */
export const signableTypes = {
  credential: ['at+jwt'],
  statement: ['live-grants+jwt', 'latchkey-agent+jwt', localSecretTypes.jwt],
} as const;

export type SignerName = keyof typeof signableTypes;
export const keyNames = ['credential', 'statement', 'ledger'] as const;
export type KeyName = (typeof keyNames)[number];

/** An ES256 key of the broker's. `kid` is its RFC 7638 thumbprint. */
export interface Signer {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** As published in the JWKS. */
  readonly publicJwk: Readonly<Record<string, unknown>>;
}

/** The ledger's Ed25519 key as others may know it. */
export interface LedgerKey {
  readonly privateKey: KeyObject;
  /** The C2SP verifier key: `name+hex(key id)+base64(type || key)`. */
  readonly vkey: string;
}

export interface LedgerKeyRing extends KeyRing<LedgerKey> {
  /** The key that whoever looks for the first time is told. @throws unavailable when there is none. */
  readonly vkey: string;
}

/** The broker's keys. Several brokers that read the same vault and share a clock agree on what each of them does. */
export interface BrokerKeys {
  readonly credential: KeyRing<Signer>;
  readonly statement: KeyRing<Signer>;
  readonly ledger: LedgerKeyRing;
}

const minutes = 60_000;

/**
 * How long versions wait and stay (milliseconds). What a lead has to outlast: the vault is read every half minute, a
 * copy of the JWKS lives for one (and another in a cache between), and the clocks of vault and database may differ by
 * one. An overlap: credentials live for ten minutes at most, agents' tokens for five. The ledger's old key signs along
 * for a day, so that devices which are on see the new one come, and enrolment codes, an hour old at most, outlive none.
 */
export const keyTimes: Readonly<Record<KeyName, KeyTimes>> = {
  credential: { lead: 5 * minutes, overlap: 15 * minutes },
  statement: { lead: 5 * minutes, overlap: 10 * minutes },
  ledger: { lead: 60 * minutes, overlap: 24 * 60 * minutes },
};

export interface LoadOptions {
  readonly times?: Readonly<Record<KeyName, KeyTimes>>;
  /** Milliseconds since the epoch, of the clock that brokers share: the database's. */
  readonly now?: () => number;
}

/**
 * Reads the broker's keys, making those that are not there yet. Brokers that start at once end up with the same.
 * @throws when a secret holds no key that can be used.
 */
export async function loadKeys(
  vault: Vault,
  ledgerOrigin: string,
  { times = keyTimes, now = Date.now }: LoadOptions = {},
): Promise<BrokerKeys> {
  const signers = (name: SignerName): KeyRing<Signer> =>
    createKeyRing({
      vault,
      secret: secretOf(name),
      times: times[name],
      now,
      fresh: () => freshKey(name),
      read: (text) => readSigner(name, text),
      idOf: ({ kid }) => kid,
    });
  const ledger = createKeyRing<LedgerKey>({
    vault,
    secret: secretOf('ledger'),
    times: times.ledger,
    now,
    fresh: () => freshKey('ledger'),
    read: async (text) => readLedgerKey(ledgerOrigin, text),
    idOf: ({ vkey }) => vkey,
  });
  const keys: BrokerKeys = {
    credential: signers('credential'),
    statement: signers('statement'),
    ledger: Object.defineProperty(ledger, 'vkey', { get: () => ledger.signing().vkey }) as LedgerKeyRing,
  };
  const rings = Object.values(keys);
  await Promise.all(rings.map((ring) => ring.load()));
  for (const ring of rings) requireUsable(ring);
  return keys;
}

function requireUsable(ring: KeyRing<unknown>): void {
  if (ring.versions().some(({ key }) => key !== null)) return;
  throw new Error(ring.versions().at(-1)?.reason ?? `the secret \`${ring.secret}\` holds no key`);
}

/** The name under which the vault keeps a key. */
export function secretOf(name: KeyName): string {
  return `${name}-signing-key`;
}

/** A new private key as the vault keeps it: a JWK. */
export function freshKey(name: KeyName): string {
  const { privateKey } =
    name === 'ledger' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return JSON.stringify(privateKey.export({ format: 'jwk' }));
}

/** Reads an ES256 key. @throws when it is none. */
export async function readSigner(name: SignerName, text: string): Promise<Signer> {
  const privateKey = readPrivateKey(secretOf(name), text, 'ec');
  const publicKey = createPublicKey(privateKey);
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' }) as Record<string, string>;
  if (crv !== 'P-256') throw new Error(`the secret \`${secretOf(name)}\` is not a P-256 key`);
  const kid = await calculateJwkThumbprint({ kty: kty!, crv, x: x!, y: y! });
  const publicJwk = { kty, crv, x, y, kid, use: 'sig', alg: 'ES256', latchkey_typ: signableTypes[name] };
  return { kid, privateKey, publicKey, publicJwk };
}

/** Reads the ledger's Ed25519 key, whose name is the origin. @throws when it is none. */
export function readLedgerKey(origin: string, text: string): LedgerKey {
  const privateKey = readPrivateKey(secretOf('ledger'), text, 'ed25519');
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { privateKey, vkey: formatVkey(origin, 'ed25519', Buffer.from(x!, 'base64url')) };
}

function readPrivateKey(name: string, text: string, kind: 'ec' | 'ed25519'): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: JSON.parse(text) as JsonWebKey, format: 'jwk' });
  } catch {
    // The cause would quote what it could not read: part of a key.
    throw new Error(`the secret \`${name}\` does not hold a private key as a JWK`);
  }
  if (key.asymmetricKeyType !== kind) throw new Error(`the secret \`${name}\` holds a key of another kind`);
  return key;
}

/** What others call a key that is given as the vault keeps it: its `kid`, or its vkey. */
export async function keyIdOf(name: KeyName, origin: string, text: string): Promise<string> {
  return name === 'ledger' ? readLedgerKey(origin, text).vkey : (await readSigner(name, text)).kid;
}
