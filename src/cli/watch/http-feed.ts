import type { LedgerEvent } from '../../ledger/events.ts';
import type { FeedEntry, LedgerFeed } from '../../ledger/feed.ts';
import type { GrantSubject } from '../../ledger/ocsf.ts';
import { configPath, openConfigDirectory } from '../config-directory.ts';
import type { Io } from '../io.ts';
import { accessFor, readSignIns } from '../sign-ins.ts';
import { openTransport } from '../transport.ts';

interface EntriesPage {
  readonly entries: readonly FeedEntry[];
  readonly size: number;
  readonly next: number | null;
}

/**
 * The ledger of a broker for whoever follows it, as the signed-in person may see it. The sign-in is read anew for each
 * call, so that one who signs in again is not asked to start again.
 */
export function openHttpFeed(url: string, io: Io): LedgerFeed {
  const directory = openConfigDirectory(configPath(io.env));
  const env = { ...io.env, LATCHKEY_URL: url };
  async function get(query: Record<string, string | readonly string[]>): Promise<EntriesPage> {
    const access = accessFor(await readSignIns(directory), env, io.now());
    const transport = openTransport({ url: access.url, token: access.token, signal: io.signal, now: io.now });
    const asked = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) for (const each of [value].flat()) asked.append(name, each);
    const path = `/v1/ledger/entries?${asked.toString()}`;
    return (await transport.call({ method: 'GET', path })) as EntriesPage;
  }
  return {
    async read(from, limit) {
      const { entries, size, next } = await get({ from: String(from), limit: String(limit) });
      return { entries, size, next: next ?? size };
    },
    async grant(id) {
      const { entries } = await get({ subject: id, type: ['grant.scheduled', 'grant.started'], limit: '1' });
      return (entries[0]?.event as (LedgerEvent & GrantSubject) | undefined) ?? null;
    },
    close: async () => undefined,
  };
}
