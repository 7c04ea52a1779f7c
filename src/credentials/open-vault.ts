import { setTimeout as sleep } from 'node:timers/promises';
import { openDirectoryVault } from './directory-vault.ts';
import { VaultUnavailable, type Vault, type VaultHealth } from './vault.ts';

/** Where the secrets are. The token is only for a Key Vault on loopback, and a function so that no inspection shows it. */
export type Secrets =
  { readonly directory: string } | { readonly keyVault: string; readonly token?: (() => string) | undefined };

/** Opens the vault that the configuration names. A Key Vault is asked nothing yet. */
export async function openVault(secrets: Secrets, onChange?: (health: VaultHealth) => void): Promise<Vault> {
  if ('directory' in secrets) return openDirectoryVault(secrets.directory);
  // Loaded only where it is used: with Azure's client it is a third of a broker's memory.
  const { openKeyVault } = await import('./key-vault.ts');
  return openKeyVault({ url: secrets.keyVault, token: secrets.token?.(), ...(onChange && { onChange }) });
}

const pause = 1_000;

/**
 * Does what needs the vault, and tries again while it does not answer.
 * @param longest milliseconds.
 * @param onWait told once, why it waits.
 * @throws VaultUnavailable, saying which vault and what is wrong with it, when that is over.
 */
export async function patiently<T>(
  work: () => Promise<T>,
  longest: number,
  onWait: (reason: string) => void,
): Promise<T> {
  const started = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof VaultUnavailable)) throw error;
      if (attempt === 1) onWait(error.message);
      if (performance.now() - started + pause > longest) throw error;
      await sleep(pause * (0.75 + Math.random() / 2));
    }
  }
}
