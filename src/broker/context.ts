import type { DeviceSecrets } from '../credentials/device-secrets.ts';
import type { BrokerKeys } from '../credentials/keys.ts';
import type { Sealer } from '../credentials/seal.ts';
import type { DeviceId, PersonId, RequestId } from '../domain/ids.ts';
import type { Bundle } from '../policy/index.ts';
import type { PersonFacts, TenantFacts } from '../policy/question.ts';
import type { Pool } from '../store/pool.ts';
import type { Device } from '../store/devices.ts';
import type { Ledger } from './ledger.ts';

/** What the broker tells of itself, one line an event; lines may be lost, the ledger may not. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Said after a commit, within this process only, so that whoever waits looks at once. A hint may be lost: nothing
 * may depend on it.
 */
export interface Hints {
  requestChanged(id: RequestId): void;
  devicesChanged(ids: readonly DeviceId[]): void;
  /** Something is due by the clock at that moment. */
  due(at: Date): void;
}

/** What every use case stands on. */
export interface BrokerContext {
  readonly pool: Pool;
  readonly region: string;
  /** The broker's public URL: the issuer of all it signs. */
  readonly issuer: string;
  /** The vkey of the ledger's recovery key, which devices pin at enrolment; null when there is none. */
  readonly recoveryKey: string | null;
  readonly keys: BrokerKeys;
  readonly sealer: Sealer;
  /** The devices' passwords in the vault. */
  readonly secrets: DeviceSecrets;
  /** The policy bundle in force now. */
  readonly policy: () => Bundle;
  readonly hints: Hints;
  readonly ledger: Ledger;
  readonly log: Log;
}

/** A person who calls, as their token says. */
export interface Caller extends PersonFacts {
  readonly id: PersonId;
}

export function tenantFacts(device: Device): TenantFacts {
  return { id: device.tenant, slug: device.tenantSlug, region: device.tenantRegion };
}
