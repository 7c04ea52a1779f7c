import { readLedgerKey, readRotation } from '../ledger/key-rotation.ts';
import { findSigningKeys, findUnproved, proveSigningKey, type SigningKey } from '../store/signing-keys.ts';
import type { Pool } from '../store/pool.ts';
import type { Ledger } from './ledger.ts';

/** How long a proof waits for the cosignatures of all witnesses, beyond those that are needed (milliseconds). */
const patience = 10 * 60_000;

export interface LedgerKeyProver {
  /** Proves what is to be proved, one at a time; a second call while it is at it changes nothing. */
  poke(run: (work: () => Promise<void>) => Promise<unknown>): void;
  close(): Promise<void>;
}

/**
 * Has the ledger's key prove its successor: the receipt of the event that names it, under the key before, is kept, and
 * the successor counts from then on. Any broker may do it, and several at once: the first proof stays.
 * If we stop before it is kept, the event is there and the next broker, or the next start, goes on from it.
 */
export function createLedgerKeyProver(context: { readonly pool: Pool; readonly ledger: Ledger }): LedgerKeyProver {
  let working: Promise<unknown> | null = null;
  return {
    poke(run) {
      working ??= run(() => proveNext(context)).finally(() => (working = null));
    },
    async close() {
      await working;
    },
  };
}

async function proveNext({ pool, ledger }: { readonly pool: Pool; readonly ledger: Ledger }): Promise<void> {
  const next = await findUnproved(pool, 'ledger');
  if (!next) return;
  const before = forerunnerOf(next, await findSigningKeys(pool));
  if (!before) return;
  const waited = Date.now() - next.recordedAt.getTime();
  const cosigned = waited < patience ? ledger.witnesses : 0;
  const proof = await ledger.receiptFor(next.event, next.bytes, cosigned);
  // Whoever follows would find it out too; but then it could not be made anew.
  readRotation(proof, readLedgerKey(before.key));
  await proveSigningKey(pool, 'ledger', next.version, proof);
}

function forerunnerOf({ version }: SigningKey, all: readonly SigningKey[]): SigningKey | undefined {
  const keys = all.filter(({ name }) => name === 'ledger');
  return keys
    .slice(
      0,
      keys.findIndex((each) => each.version === version),
    )
    .findLast((each) => each.withdrawnAt === null);
}
