import { withKeysDesk, type KeysDesk } from '../../src/broker/keys-desk.ts';
import type { KeysContext } from '../../src/broker/rotate-keys.ts';
import { openVault } from '../../src/credentials/open-vault.ts';
import type { Vault } from '../../src/credentials/vault.ts';
import type { TestBroker } from './broker.ts';

/** `latchkey keys` at work beside running brokers: a process of its own, as far as they can tell. */
export interface TestKeysDesk extends KeysDesk {
  readonly context: KeysContext;
  close(): Promise<void>;
}

/** @param wrap stands between the desk and the vault. */
export async function openTestKeysDesk(
  { config, database }: TestBroker,
  wrap: (vault: Vault) => Vault = (vault) => vault,
): Promise<TestKeysDesk> {
  const vault = wrap(await openVault(config.secrets));
  const closed = Promise.withResolvers<void>();
  return new Promise((resolve, reject) => {
    const done = withKeysDesk({ config, url: database.appUrl, vault }, (desk, context) => {
      const close = (): Promise<void> => {
        closed.resolve();
        return done;
      };
      resolve({ ...desk, context, close });
      return closed.promise;
    });
    done.catch(reject);
  });
}
