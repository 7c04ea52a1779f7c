import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT, type JWK } from 'jose';
import { createState, readState, removeState, requirePrivate, StateError } from './state-directory.ts';

const fileName = 'device-key.json';

/** The device's own key: what it is known by at the broker, and what it signs its statements with. */
export interface DeviceKey {
  /** EC P-256, public members only. */
  readonly publicJwk: JWK;
  /** RFC 7638 thumbprint. */
  readonly thumbprint: string;
  /** Signs a JWT (ES256) of that type; its header names the type and the key's thumbprint. */
  sign(type: string, claims: Readonly<Record<string, unknown>>): Promise<string>;
}

/**
 * The device's key, made at the first start and kept in the state directory with mode 0600. Two processes that start at
 * once end up with the same key.
 * @throws StateError when the file is not a private EC P-256 key, or other users can read it.
 */
export async function loadDeviceKey(directory: string): Promise<DeviceKey> {
  if ((await readState(directory, fileName)) === null) {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    await createState(directory, fileName, await exportJWK(privateKey));
  }
  await requirePrivate(directory, fileName);
  return deviceKeyFrom((await readState(directory, fileName)) as JWK);
}

/** Forgets the key, so that the next start makes another: for one that the broker will not enrol a second time. */
export async function forgetDeviceKey(directory: string): Promise<void> {
  await removeState(directory, fileName);
}

/** A device key from a private JWK. @throws StateError when it is not one on P-256. */
export async function deviceKeyFrom(jwk: JWK): Promise<DeviceKey> {
  const { kty, crv, x, y, d } = jwk;
  if (kty !== 'EC' || crv !== 'P-256' || !x || !y || !d) {
    throw new StateError('the device key is not a private EC key on P-256; remove the state and enrol again');
  }
  const publicJwk = { kty, crv, x, y };
  const thumbprint = await calculateJwkThumbprint(publicJwk);
  const privateKey = await importJWK({ ...publicJwk, d }, 'ES256');
  const sign: DeviceKey['sign'] = (type, claims) =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg: 'ES256', typ: type, kid: thumbprint }).sign(privateKey);
  return { publicJwk, thumbprint, sign };
}
