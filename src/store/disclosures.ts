import type { DeviceId } from '../domain/ids.ts';
import type { Commitment } from '../ledger/events.ts';
import { onceNowSql, rows, type Runner, type Tx } from './transaction.ts';

/** A text that a commitment in the ledger is to, as it lies beside it. Nothing has checked that it opens it. */
export interface StoredDisclosure {
  readonly salt: Buffer;
  readonly value: string;
}

/** What lies beside the ledger for these commitments; what has been erased is absent. */
export async function findDisclosures(
  runner: Runner,
  commitments: readonly Commitment[],
): Promise<Map<Commitment, StoredDisclosure>> {
  if (commitments.length === 0) return new Map();
  const found = await rows<StoredDisclosure & { commitment: Buffer }>(
    runner,
    'find-disclosures',
    'SELECT commitment, salt, value FROM disclosures WHERE commitment = ANY ($1::bytea[])',
    [commitments.map((each) => Buffer.from(each, 'base64url'))],
  );
  return new Map(found.map(({ commitment, ...rest }) => [commitment.toString('base64url') as Commitment, rest]));
}

/** Erases what decisions saw of a device. Every commitment, and every proof, stays as it is. */
export async function eraseDisclosuresOf(tx: Tx, device: DeviceId): Promise<void> {
  await rows(tx, 'erase-disclosures-of-device', 'DELETE FROM disclosures WHERE device = $1', [device]);
}

/** Erases what a transaction that ran alongside an erasure may have left behind it. */
export async function eraseLateDisclosures(runner: Runner): Promise<void> {
  await rows(
    runner,
    'erase-late-disclosures',
    `DELETE FROM disclosures WHERE device = ANY (ARRAY(
       SELECT id::text FROM devices WHERE erased_at > ${onceNowSql} - interval '1 hour'))`,
  );
}
