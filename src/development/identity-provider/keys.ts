import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';

/** What the provider must find again after a restart, or every token and sign-in of before would be lost. */
export interface ProviderKeys {
  /** Private keys, ES256. */
  readonly keys: readonly JWK[];
  /** What cookies are signed with. */
  readonly cookieKeys: readonly string[];
}

/** Reads the keys under the directory, mode 0600, or makes them at the first start. */
export async function loadKeys(directory: string): Promise<ProviderKeys> {
  const path = join(directory, 'identity-provider.json');
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ProviderKeys;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const keys = await makeKeys();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // If we stop in between, the unfinished file lies beside and the next start makes a new one.
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, JSON.stringify(keys), { mode: 0o600 });
  await rename(unfinished, path);
  return keys;
}

async function makeKeys(): Promise<ProviderKeys> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(privateKey);
  const kid = await calculateJwkThumbprint(jwk);
  return { keys: [{ ...jwk, kid, alg: 'ES256', use: 'sig' }], cookieKeys: [randomBytes(32).toString('base64url')] };
}
