import { compactDecrypt, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { CompactJweError, jweAlgorithms, requireCanonicalCompactJwe } from '../domain/compact-jwe.ts';
import { createState, readState, removeState, requirePrivate, StateError } from './state-directory.ts';

const fileName = 'device-encryption-key.json';
const longestJwe = 65_536;

/** What is encrypted to this device alone is opened with this key, which signs nothing. */
export interface EncryptionKey {
  /** EC P-256, public members only. */
  readonly publicJwk: JWK;
  /** The text of a compact JWE of that type. @throws CompactJweError for anything but one to this key. */
  open(jwe: unknown, typ: string): Promise<string>;
}

/**
 * The device's encryption key, made at the first start and kept in the state directory with mode 0600. Two processes that
 * start at once end up with the same key.
 * @throws StateError when the file is not a private EC P-256 key, or other users can read it.
 */
export async function loadEncryptionKey(directory: string): Promise<EncryptionKey> {
  if ((await readState(directory, fileName)) === null) {
    const { privateKey } = await generateKeyPair(jweAlgorithms.alg, { crv: 'P-256', extractable: true });
    await createState(directory, fileName, await exportJWK(privateKey));
  }
  await requirePrivate(directory, fileName);
  return encryptionKeyFrom((await readState(directory, fileName)) as JWK);
}

/** Forgets the key with the one that signs: a device that enrols anew has new ones. */
export async function forgetEncryptionKey(directory: string): Promise<void> {
  await removeState(directory, fileName);
}

/** An encryption key from a private JWK. @throws StateError when it is not one on P-256. */
export async function encryptionKeyFrom(jwk: JWK): Promise<EncryptionKey> {
  const { kty, crv, x, y, d } = jwk;
  if (kty !== 'EC' || crv !== 'P-256' || !x || !y || !d) {
    throw new StateError('the encryption key is not a private EC key on P-256; remove the state and enrol again');
  }
  const publicJwk = { kty, crv, x, y };
  const privateKey = await importJWK({ ...publicJwk, d }, jweAlgorithms.alg);
  return {
    publicJwk,
    async open(jwe, typ) {
      const text = requireCanonicalCompactJwe(jwe, { typ, maxLength: longestJwe });
      const { alg, enc } = jweAlgorithms;
      const allowed = { keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: [enc] };
      try {
        const { plaintext } = await compactDecrypt(text, privateKey, allowed);
        return new TextDecoder('utf-8', { fatal: true }).decode(plaintext);
      } catch {
        // What was wrong with it would say something of what it is.
        throw new CompactJweError('it is not for this key');
      }
    },
  };
}
