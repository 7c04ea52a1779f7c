import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { compactDecrypt, SignJWT } from 'jose';
import { jweAlgorithms, requireCanonicalCompactJwe } from '../domain/compact-jwe.ts';
import { localAdmin } from '../domain/local-admin.ts';
import { releasedSecretType, secretRequestType } from '../domain/secret-request.ts';
import { Failure } from './failure.ts';
import type { EngineerKey } from './key.ts';

/** What is asked for, and of whom. */
export interface SecretFor {
  /** The broker's `publicUrl`. */
  readonly url: string;
  readonly grant: string;
  readonly device: string;
  /** Milliseconds since the epoch, by the broker's clock. */
  readonly at: number;
}

/** A password, and which of the device's passwords it is: they count up. */
export interface OpenedPassword {
  readonly generation: number;
  readonly password: string;
}

/** A key for one answer, which is never written anywhere: what is encrypted to it ends with this process. */
export interface OneTimeKey {
  /** The proof to ask with: signed by the engineer's key, with this one in it. */
  proof(key: EngineerKey, asked: SecretFor): Promise<string>;
  /** What came, newest first. @throws Failure for anything but passwords for what was asked. */
  open(jwe: unknown, asked: Pick<SecretFor, 'grant' | 'device'>): Promise<readonly OpenedPassword[]>;
}

const maxLength = 65_536;

export function newOneTimeKey(): OneTimeKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  return {
    proof: (key, { url, grant, device, at }) =>
      new SignJWT({ jti: randomUUID(), grant, device, key: { kty: 'EC', crv: 'P-256', x, y } })
        .setProtectedHeader({ alg: 'ES256', typ: secretRequestType, jwk: { ...key.publicJwk } })
        .setAudience(url)
        .setIssuedAt(Math.floor(at / 1_000))
        .sign(key.privateKey),
    async open(jwe, { grant, device }) {
      try {
        const text = requireCanonicalCompactJwe(jwe, { typ: releasedSecretType, maxLength });
        const { alg, enc } = jweAlgorithms;
        const allowed = { keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: [enc] };
        const { plaintext } = await compactDecrypt(text, privateKey, allowed);
        const said = JSON.parse(Buffer.from(plaintext).toString('utf8')) as Readonly<Record<string, unknown>>;
        if (said['grant'] !== grant || said['device'] !== device || said['secret'] !== localAdmin) throw new Error();
        return readPasswords(said['passwords']);
      } catch {
        // No cause: it would quote what it could not read.
        throw new Failure('failed', 'what came back is not the password that was asked for, or not for this key');
      }
    },
  };
}

function readPasswords(value: unknown): readonly OpenedPassword[] {
  if (!Array.isArray(value) || value.length === 0) throw new Error();
  return value.map((each: Readonly<Record<string, unknown>>) => {
    const { generation, password } = each;
    if (typeof generation !== 'number' || typeof password !== 'string' || password === '') throw new Error();
    return { generation, password };
  });
}
