import { rows, type Runner } from './transaction.ts';
import type { Commitment } from '../ledger/events.ts';

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
