import { isRecovery } from './key-recovery.ts';
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

/** How a key came to count: proved by the one before, or named by the recovery key, whose statement the proof then is. */
export interface KeyStep {
  readonly from: string | null;
  readonly to: string;
  readonly proof: string;
}

/** What was ever proved of a ledger's keys, oldest first. @param keys as they were written down, in that order. */
export function keySteps(
  keys: readonly { readonly key: string; readonly event: string | null; readonly proof: string | null }[],
): KeyStep[] {
  // A version that never counted is nobody's forerunner.
  const counted = keys.filter(({ event, proof }) => event === null || proof !== null);
  return counted.flatMap(({ key, proof }, place) =>
    proof === null ? [] : [{ from: counted[place - 1]?.key ?? null, to: key, proof }],
  );
}

/** These steps as they are served. */
export function servedKeys(steps: readonly KeyStep[]): ServedKeys {
  return {
    recovery: steps.findLast(({ proof }) => isRecovery(proof))?.proof ?? null,
    rotations: steps.flatMap(({ from, to, proof }) =>
      from === null || isRecovery(proof) ? [] : [{ from, to, proof }],
    ),
  };
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
