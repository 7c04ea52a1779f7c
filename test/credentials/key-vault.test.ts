import { after, before } from 'node:test';
import { openKeyVault } from '../../src/credentials/key-vault.ts';
import { startKeyVault, type TestKeyVault } from '../support/key-vault.ts';
import { vaultContract } from '../support/vault-contract.ts';

let service: TestKeyVault;
before(async () => {
  service = await startKeyVault();
});
after(() => service.stop());

vaultContract('Key Vault', () => openKeyVault({ url: service.url, token: service.token }));
