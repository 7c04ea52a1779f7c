import { keyTimes } from '../../src/credentials/keys.ts';
import { runDemo } from '../../src/development/demo-story.ts';
import { briefly } from '../../src/development/demo-vault.ts';
import { startKeyVault } from './key-vault.ts';

// `npm run demo:key-vault`: the story with the broker's secrets in what stands in for an Azure Key Vault, which is taken away
// and brought back while Ada works, and in which a key is replaced.
const vault = await startKeyVault();
const environment = { LATCHKEY_KEY_VAULT_TOKEN: vault.token };
Object.assign(process.env, environment);
const keys = { times: { ...keyTimes, credential: briefly }, readEvery: 1_000 };
process.exitCode = await runDemo({
  world: { keyVault: vault.url, keys },
  environment,
  stop: () => vault.stop(),
  start: () => vault.start(),
});
await vault.stop();
