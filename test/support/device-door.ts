import { mark } from '../../src/agent/elapsed.ts';
import {
  createBrokerKeys,
  createLiveGrants,
  createVerifier,
  machineClocks,
  Refusal,
  type BrokerKeys,
  type LedgerKeys,
} from '../../src/agent/index.ts';
import type { TestBroker } from './broker.ts';
import type { TestDevice } from './device.ts';
import type { EngineerKey } from './engineer.ts';

/** What a broker answers whoever mints. */
export interface Minted {
  readonly credential: string;
  readonly receipt: string;
}

/** A device's verifier, real in all its parts, without a server before it. */
export interface DeviceDoor {
  /** Takes a fresh copy of the broker's keys, which from then on serves as it is, and reads the list of live grants. */
  refresh(): Promise<void>;
  /** How old the copy is (milliseconds). */
  age(): number;
  /** What is said of a credential that its holder presents: null when it is let in, else why not. */
  refuses(minted: Minted, holder: EngineerKey): Promise<string | null>;
}

const url = 'http://127.0.0.1:9443/sessions';

export async function openDeviceDoor(
  broker: TestBroker,
  { device, ledgerKey, ledgerKeys }: { device: TestDevice; ledgerKey: string; ledgerKeys?: LedgerKeys },
): Promise<DeviceDoor> {
  const issuer = broker.config.publicUrl;
  let copy: BrokerKeys;
  let copied = 0;
  const takeCopy = async (): Promise<void> => {
    const next = createBrokerKeys({ jwksUri: `${issuer}/.well-known/jwks.json` });
    const asked = performance.now();
    // Whoever asked a moment ago does not ask again, so what was fetched now stays.
    await next.find('no such key');
    [copy, copied] = [next, asked];
  };
  const keys: BrokerKeys = {
    find: (kid) => copy.find(kid),
    peek: (kid) => copy.peek(kid),
    isFresh: () => copy.isFresh(),
  };
  const about = { issuer, device: device.id, keys };
  const liveGrants = createLiveGrants({ ...about, seen: null, remember: async () => {} });
  const verifier = createVerifier({ ...about, tenant: broker.contoso.id, liveGrants, ledgerKey, ledgerKeys });
  liveGrants.onChange(() => ledgerKeys?.heard(liveGrants.current()?.newestLedgerKey ?? null));
  const door: DeviceDoor = {
    async refresh() {
      await takeCopy();
      const asked = mark(machineClocks);
      const { status, text } = await device.call('GET', '/v1/agent/live-grants');
      if (status !== 401) return liveGrants.accept(text, asked);
      // Its token is of a key that counts no more: a device signs in again.
      await device.signIn();
      return door.refresh();
    },
    age: () => performance.now() - copied,
    async refuses({ credential, receipt }, holder) {
      const proof = await holder.proof('POST', url, { token: credential });
      try {
        await verifier.verifyCredential({
          method: 'POST',
          url,
          authorization: [`DPoP ${credential}`],
          proof: [proof],
          receipt: [Buffer.from(receipt).toString('base64')],
          scope: null,
        });
        return null;
      } catch (error) {
        if (error instanceof Refusal) return `${error.code}: ${error.message}`;
        throw error;
      }
    },
  };
  await door.refresh();
  // A proof names its second, and one from before the start counts for nothing.
  await new Promise((resolve) => setTimeout(resolve, 1_001 - (Date.now() % 1_000)));
  return door;
}
