import type { GrantId } from '../domain/ids.ts';
import type { LedgerEvent } from '../ledger/events.ts';
import type { LedgerFeed } from '../ledger/feed.ts';
import type { GrantSubject } from '../ledger/ocsf.ts';
import { findLedgerState, readEntries } from './ledger.ts';
import { openPool } from './pool.ts';
import { row, type Runner } from './transaction.ts';

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
  const found = await row<{ bytes: Buffer }>(
    runner,
    'find-grant-beginning',
    `SELECT a.bytes FROM ledger_subjects s JOIN ledger_entries e ON e.position = s.position
     JOIN audit_events a ON a.id = e.event AND a.at = e.at
     WHERE s.subject = $1 AND a.type IN ('grant.scheduled', 'grant.started') ORDER BY s.position LIMIT 1`,
    [grant],
  );
  return found?.bytes ?? null;
}

function parse(bytes: Buffer): LedgerEvent {
  return JSON.parse(bytes.toString('utf8')) as LedgerEvent;
}
