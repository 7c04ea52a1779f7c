import type { LedgerKeyRing } from '../credentials/keys.ts';
import { LatchkeyError } from '../domain/errors.ts';
import type { LedgerSigner } from './sequence-ledger.ts';

/** Who signs checkpoints: every key that counts. A key that takes the place of another signs along from the moment it is proved. */
export function ledgerSigner(origin: string, ring: LedgerKeyRing): LedgerSigner {
  return {
    origin,
    privateKeys() {
      // INVARIANT: what an old key signs alone is believed by nobody once its time is over, so nothing is given away for it.
      if (ring.isBehind()) {
        throw new LatchkeyError('unavailable', 'the key that has taken over the ledger cannot be had from the vault');
      }
      const keys = ring.published();
      if (keys.length === 0) throw new LatchkeyError('unavailable', 'there is no key for the ledger');
      return keys;
    },
  };
}
