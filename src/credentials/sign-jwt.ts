import { es256Signature } from '../domain/es256.ts';
import type { Signer } from './keys.ts';

/** A JWT with these claims, signed ES256 by one of the broker's keys. */
export function signJwt({ kid, privateKey }: Signer, typ: string, claims: object): string {
  const text = `${encode({ alg: 'ES256', typ, kid })}.${encode(claims)}`;
  return `${text}.${es256Signature(text, privateKey)}`;
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}
