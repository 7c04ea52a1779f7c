import { createHash, createPrivateKey, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { SignJWT, type JWK } from 'jose';
import type { ConfigDirectory } from './config-directory.ts';
import { Failure } from './failure.ts';

const file = 'key.json';

/** The engineer's key (EC P-256): what a credential is bound to, so that who steals the credential cannot use it. */
export interface EngineerKey {
  readonly publicJwk: { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string };
  readonly privateKey: KeyObject;
}

/** What one proof is for. */
export interface ProofFor {
  readonly method: string;
  /** The address called; query and fragment are left out of the proof. */
  readonly url: string;
  /** The credential sent along, hashed into `ath`; none when minting. */
  readonly credential?: string;
  /** Milliseconds since the epoch, by the broker's clock. */
  readonly at: number;
}

/** Reads the key of this config directory, making it at first need. @throws Failure when the file holds something else. */
export async function loadKey(directory: ConfigDirectory): Promise<EngineerKey> {
  const text = (await directory.read(file)) ?? (await makeKey(directory));
  try {
    const { kty, crv, x, y, d } = JSON.parse(text) as JWK;
    if (kty !== 'EC' || crv !== 'P-256' || !x || !y || !d) throw new Error('not a private EC P-256 key');
    const publicJwk = { kty: 'EC', crv: 'P-256', x, y } as const;
    return { publicJwk, privateKey: createPrivateKey({ key: { ...publicJwk, d }, format: 'jwk' }) };
  } catch (cause) {
    throw new Failure('failed', `\`${directory.path}/${file}\` does not hold an EC P-256 key`, {
      hint: 'move it away; a new key is made by itself, and grants already in use stay with the old one',
      cause,
    });
  }
}

/** Makes a fresh DPoP proof (RFC 9449 §4.2): good once, for this method and address. */
export function makeProof(key: EngineerKey, { method, url, credential, at }: ProofFor): Promise<string> {
  const target = new URL(url);
  const ath = credential && createHash('sha256').update(credential, 'ascii').digest('base64url');
  return new SignJWT({ jti: randomUUID(), htm: method, htu: target.origin + target.pathname, ...(ath && { ath }) })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: { ...key.publicJwk } })
    .setIssuedAt(Math.floor(at / 1000))
    .sign(key.privateKey);
}

async function makeKey(directory: ConfigDirectory): Promise<string> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const text = `${JSON.stringify(privateKey.export({ format: 'jwk' }))}\n`;
  // Two commands started at once make one key: who comes second takes what the first has written.
  return (await directory.create(file, text)) ? text : (await directory.read(file))!;
}
