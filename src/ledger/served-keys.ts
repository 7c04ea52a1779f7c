import { longestReceipt } from './receipt.ts';
import { Malformed } from './verdict.ts';

/** What `GET /v1/ledger/keys` answers. None of it is believed: each part proves itself, or counts for nothing. */
export interface ServedKeys {
  /** The newest statement of the recovery key, a signed note; null when there is none. */
  readonly recovery: string | null;
  /** One key after the other, oldest first: each proof is signed by `from`. */
  readonly rotations: readonly ServedRotation[];
}

export interface ServedRotation {
  readonly from: string;
  readonly to: string;
  readonly proof: string;
}

/** Rotations in one answer, at the most: whoever has followed them all asks again with `after`. */
export const mostServed = 64;
/** Bytes of an answer, at the most: as many proofs, as JSON. */
export const longestServed = 2 * mostServed * longestReceipt;

/** What is said of a ledger whose key never changed. */
export const noKeysServed: ServedKeys = { recovery: null, rotations: [] };

/** Reads such an answer. @throws Malformed when it is none. */
export function parseServedKeys(value: unknown, most = mostServed): ServedKeys {
  const { recovery, rotations } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isSound =
    (recovery === null || typeof recovery === 'string') &&
    Array.isArray(rotations) &&
    rotations.length <= most &&
    rotations.every(isRotation);
  if (!isSound) throw new Malformed('the answer does not say how the ledger’s keys follow one another');
  return { recovery, rotations: rotations as ServedRotation[] };
}

function isRotation(value: unknown): boolean {
  const { from, to, proof } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return typeof from === 'string' && typeof to === 'string' && typeof proof === 'string';
}
