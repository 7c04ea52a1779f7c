import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { formatVkey } from '../ledger/vkey.ts';
import type { Vault } from './vault.ts';

/** The types of JWT that each of the broker's keys may sign. A verifier refuses any other. */
export const signableTypes = {
  credential: ['at+jwt'],
  statement: ['live-grants+jwt', 'latchkey-agent+jwt'],
} as const;

export type SignerName = keyof typeof signableTypes;

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

export interface BrokerKeys {
  readonly credential: Signer;
  readonly statement: Signer;
  readonly ledger: LedgerKey;
}

/** Reads the broker's keys, making those that are not there yet. Brokers that start at once end up with the same. */
export async function loadKeys(vault: Vault, ledgerOrigin: string): Promise<BrokerKeys> {
  const [credential, statement, ledger] = await Promise.all([
    loadSigner(vault, 'credential'),
    loadSigner(vault, 'statement'),
    loadLedgerKey(vault, ledgerOrigin),
  ]);
  return { credential, statement, ledger };
}

async function loadSigner(vault: Vault, name: SignerName): Promise<Signer> {
  const privateKey = await loadPrivateKey(vault, `${name}-signing-key`, 'ec');
  const publicKey = createPublicKey(privateKey);
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' }) as Record<string, string>;
  if (crv !== 'P-256') throw new Error(`the secret \`${name}-signing-key\` is not a P-256 key`);
  const kid = await calculateJwkThumbprint({ kty: kty!, crv, x: x!, y: y! });
  const publicJwk = { kty, crv, x, y, kid, use: 'sig', alg: 'ES256', latchkey_typ: signableTypes[name] };
  return { kid, privateKey, publicKey, publicJwk };
}

async function loadLedgerKey(vault: Vault, origin: string): Promise<LedgerKey> {
  const privateKey = await loadPrivateKey(vault, 'ledger-signing-key', 'ed25519');
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { privateKey, vkey: formatVkey(origin, 'ed25519', Buffer.from(x!, 'base64url')) };
}

async function loadPrivateKey(vault: Vault, name: string, kind: 'ec' | 'ed25519'): Promise<KeyObject> {
  const text = (await vault.get(name)) ?? (await vault.create(name, freshKey(kind)));
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

function freshKey(kind: 'ec' | 'ed25519'): string {
  const { privateKey } =
    kind === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  return JSON.stringify(privateKey.export({ format: 'jwk' }));
}
