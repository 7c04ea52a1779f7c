const clouds = /^[a-z][a-z0-9-]{1,22}[a-z0-9]\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)$/;
const loopback = /^(?:127(?:\.\d{1,3}){3}|\[::1\]|localhost)$/;

/**
 * What is wrong with the address of a Key Vault, or null. Secrets go to Azure over TLS alone; one on loopback, which
 * stands in for it, has no identity to check and takes a token that is given.
 */
export function keyVaultMistake(text: string, hasToken: boolean): string | null {
  if (!URL.canParse(text)) return 'is not a URL';
  const url = new URL(text);
  if (url.username || url.password || url.search || url.hash || url.pathname !== '/' || text.endsWith('/')) {
    return 'may hold nothing but the vault: `https://NAME.vault.azure.net`';
  }
  if (loopback.test(url.hostname) && /^https?:$/.test(url.protocol)) {
    return hasToken ? null : 'is on loopback: say which token it takes in `LATCHKEY_KEY_VAULT_TOKEN`';
  }
  if (url.protocol !== 'https:' || url.port !== '' || !clouds.test(url.hostname)) {
    return 'must be `https://NAME.vault.azure.net`, or on loopback';
  }
  return hasToken ? 'takes no token: `LATCHKEY_KEY_VAULT_TOKEN` is for a vault on loopback alone' : null;
}
