import { randomBytes } from 'node:crypto';
import { localAdmin } from '../domain/local-admin.ts';
import type { DeviceId } from '../domain/ids.ts';
import { commit } from '../ledger/canonical.ts';
import type { Commitment } from '../ledger/events.ts';
import { newPassword, Password } from './password.ts';
import type { Vault } from './vault.ts';

/** A password that the vault holds, and what others may know of it. */
export interface Deposited {
  /** What the vault calls it. */
  readonly version: string;
  readonly salt: Buffer;
  /** To the password: what the ledger and the device hold it against. */
  readonly commitment: Commitment;
}

/**
 * The devices' passwords in the vault: a name for each device, a version for each password. What is deposited lasts
 * before it is used anywhere. Everything throws VaultUnavailable when the vault cannot be asked.
 */
export interface DeviceSecrets {
  /** Makes a new password and puts it into the vault. Tried again, it leaves one more that nobody uses. */
  deposit(device: DeviceId, generation: number): Promise<Deposited>;
  /** The password of a version; null when the vault does not have it any more. */
  read(device: DeviceId, version: string): Promise<Password | null>;
  /** Makes that version unreadable, for ever. */
  discard(device: DeviceId, version: string): Promise<void>;
  /** Makes every version that is older than this one unreadable, for ever. */
  discardBefore(device: DeviceId, version: string): Promise<void>;
  /** All passwords of the device are gone from the vault. */
  forget(device: DeviceId): Promise<void>;
}

export function openDeviceSecrets(vault: Vault): DeviceSecrets {
  return {
    async deposit(device, generation) {
      const password = newPassword();
      const salt = randomBytes(16);
      const tags = { generation: String(generation) };
      const { version } = await vault.addVersion(nameOf(device), password.reveal(), { tags });
      return { version, salt, commitment: commit(salt, password.reveal()) };
    },
    async read(device, version) {
      const text = await vault.getVersion(nameOf(device), version);
      return text === null ? null : new Password(text);
    },
    discard: (device, version) => vault.disable(nameOf(device), version),
    async discardBefore(device, version) {
      const all = await vault.versions(nameOf(device));
      const place = all.findIndex((each) => each.version === version);
      for (const old of all.slice(0, Math.max(place, 0))) {
        if (old.enabled) await vault.disable(nameOf(device), old.version);
      }
    },
    forget: (device) => vault.remove(nameOf(device)),
  };
}

/** The vault takes no underscores; a device's id is never used again, so neither is the name. */
function nameOf(device: DeviceId): string {
  return `${localAdmin}-${device.replace('_', '-')}`;
}
