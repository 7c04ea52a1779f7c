import type { GrantId } from '../domain/ids.ts';
import type { LedgerEvent } from './events.ts';
import type { GrantSubject } from './ocsf.ts';

export interface FeedEntry {
  readonly index: number;
  readonly event: LedgerEvent;
}

/** Entries of a ledger, read by whoever follows it. It vouches for nothing: that is for verification. */
export interface LedgerFeed {
  /**
   * Entries from a position on, at most `limit` of them, in order. Where the reader may not see all, there are gaps.
   * `next` is where to go on: at most `size`, the number of entries that the ledger has now.
   */
  read(
    from: number,
    limit: number,
  ): Promise<{ readonly entries: readonly FeedEntry[]; readonly next: number; readonly size: number }>;
  /** Whom and what a grant is for; null when the ledger, or what the reader may see of it, does not say. */
  grant(id: GrantId): Promise<GrantSubject | null>;
  close(): Promise<void>;
}
