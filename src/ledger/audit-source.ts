import type { ServedKeys } from './served-keys.ts';

/** Where a ledger is read from, to be audited: a broker, its database, or an export. Nothing it says is trusted. */
export interface LedgerSource {
  /** The signed checkpoint that everything is held against; null when nothing was ever signed. */
  readonly checkpoint: string | null;
  /**
   * The bytes of entries from `from` up to, not including, `to`, in order and in batches; null stands for one that is
   * gone. The bytes of a batch are good until the next is asked for.
   */
  entries(from: number, to: number): AsyncIterable<readonly (Uint8Array | null)[]>;
  /** The first hashes of a tile, `width` of them or fewer when it has no more; null when it is not there. Absent where there are no tiles. */
  readonly tile?: (level: number, index: number, width: number) => Promise<Uint8Array | null>;
  /** How the ledger's keys follow one another, whole; absent where nobody has kept it. */
  readonly keys?: () => Promise<ServedKeys>;
  /** What lies beside the tree; absent where only the tree is to be had. */
  readonly leftovers?: () => Promise<Leftovers>;
  close(): Promise<void>;
}

/** What a database holds beside its signed tree. */
export interface Leftovers {
  /** Events that were written and neither have a position nor wait for one. */
  readonly unplaced: readonly string[];
  /** Events that wait for a position and are gone, or no longer as they were written. */
  readonly lost: readonly string[];
  /** Events that have waited for a position for more than some seconds. */
  readonly waiting: number;
  /** The first position beyond the signed tree; null when there is none. */
  readonly beyond: number | null;
}
