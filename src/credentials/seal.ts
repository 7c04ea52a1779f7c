import { createCipheriv, createDecipheriv, createSecretKey, randomBytes as randomKey } from 'node:crypto';
import { randomBytes } from '../domain/random.ts';
import type { Vault } from './vault.ts';

/** Keeps what must lie in the database for a while but may not be read there (AES-256-GCM). */
export interface Sealer {
  /** @param context what the text belongs to; it opens only under the same. */
  seal(text: string, context: string): Buffer;
  /** @throws when it was sealed under another key or context, or changed since. */
  open(sealed: Buffer, context: string): string;
}

const nonceLength = 12;
const tagLength = 16;

/** Reads the sealing key from the vault, making it if there is none. */
export async function loadSealer(vault: Vault): Promise<Sealer> {
  const name = 'answer-sealing-key';
  const text = (await vault.get(name)) ?? (await vault.create(name, randomKey(32).toString('base64url')));
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length !== 32) throw new Error(`the secret \`${name}\` does not hold 32 bytes in base64url`);
  const key = createSecretKey(bytes);
  return {
    seal(text, context) {
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength }).setAAD(
        Buffer.from(context),
      );
      return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    },
    open(sealed, context) {
      const nonce = sealed.subarray(0, nonceLength);
      const body = sealed.subarray(nonceLength, -tagLength);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength })
        .setAAD(Buffer.from(context))
        .setAuthTag(sealed.subarray(-tagLength));
      return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8');
    },
  };
}
