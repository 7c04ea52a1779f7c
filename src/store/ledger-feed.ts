import type { GrantId } from '../domain/ids.ts';
import type { LedgerEvent } from '../ledger/events.ts';
import type { LedgerFeed } from '../ledger/feed.ts';
import type { GrantSubject } from '../ledger/ocsf.ts';
import { listEntries, type FoundEntries } from './ledger-listing.ts';
import { findLedgerState, readEntries } from './ledger.ts';
import { openPool } from './pool.ts';
import type { Runner } from './transaction.ts';

/** The ledger of a database for whoever follows it. Reads only, and needs no more than the auditor's role. */
export function openDatabaseFeed(url: string): LedgerFeed {
  const pool = openPool({ url, size: 1, readOnly: true });
  return {
    async read(from, limit) {
      const { size } = await findLedgerState(pool);
      const until = Math.min(from + limit, size);
      const entries = until > from ? await readEntries(pool, from, until - from) : [];
      return {
        entries: entries.map(({ position, bytes }) => ({ index: position, event: parse(bytes) })),
        next: Math.min(Math.max(from, until), size),
        size,
      };
    },
    async grant(id) {
      const bytes = await findGrantBeginning(pool, id);
      return bytes && (parse(bytes) as LedgerEvent & GrantSubject);
    },
    close: () => pool.end(),
  };
}

/** The entry by which a grant was scheduled or begun. */
async function findGrantBeginning(runner: Runner, grant: GrantId): Promise<Buffer | null> {
  const { size } = await findLedgerState(runner);
  const types = ['grant.scheduled', 'grant.started'];
  const filter = { slugs: null, tenant: null, after: null, before: null, subject: grant, types };
  for (let from: number | null = 0; from !== null;) {
    const page: FoundEntries = await listEntries(runner, filter, { from, limit: 1, size });
    if (page.entries[0]) return page.entries[0].bytes;
    from = page.next;
  }
  return null;
}

function parse(bytes: Buffer): LedgerEvent {
  return JSON.parse(bytes.toString('utf8')) as LedgerEvent;
}
