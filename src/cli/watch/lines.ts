import { grantToLookUp, toOcsf, type GrantSubject } from '../../ledger/ocsf.ts';
import type { FeedEntry, LedgerFeed } from '../../ledger/feed.ts';
import { Failure } from '../failure.ts';
import type { Place } from './bookmark.ts';

export const formats = ['ocsf', 'json'] as const;
export type Format = (typeof formats)[number];

/** Makes the line of an entry, its newline not included. */
export type LineMaker = (entry: FeedEntry) => Promise<string>;

/** Grants whose subject is kept at hand: what is live at once, several times over. */
const mostGrants = 20_000;

/** For OCSF, the events that end a grant or a session are given the person whose it was, looked up in the ledger. */
export function lineMaker(format: Format, feed: Pick<LedgerFeed, 'grant'>): LineMaker {
  if (format === 'json') return async ({ index, event }) => JSON.stringify({ index, event });
  const grants = new Map<string, GrantSubject>();
  const keep = (id: string, { person, devices, scopes }: GrantSubject): void => {
    grants.set(id, { person, devices, scopes });
    if (grants.size > mostGrants) grants.delete(grants.keys().next().value!);
  };
  return async ({ index, event }) => {
    if (event.type === 'grant.started' || event.type === 'grant.scheduled') keep(event.grant, event);
    const id = grantToLookUp(event);
    if (id !== null && !grants.has(id)) {
      const found = await feed.grant(id);
      if (found) keep(id, found);
    }
    const grant = id === null ? null : (grants.get(id) ?? null);
    try {
      return JSON.stringify(toOcsf(index, event, grant));
    } catch (cause) {
      throw new Failure('failed', `the entry \`${index}\` is of the type \`${event.type}\`, which is not known here`, {
        hint: 'the broker is newer than this program: update it, and go on where it stopped',
        cause,
      });
    }
  };
}

/** Where a stream stands that ends in this line, in either format; null for a line of something else. */
export function placeOfLine(line: string): Place | null {
  try {
    const { metadata, index, event } = JSON.parse(line) as {
      readonly metadata?: { readonly sequence?: unknown; readonly uid?: unknown };
      readonly index?: unknown;
      readonly event?: { readonly id?: unknown };
    };
    const [at, id] = metadata ? [metadata.sequence, metadata.uid] : [index, event?.id];
    if (typeof at !== 'number' || typeof id !== 'string') return null;
    return { next: at + 1, last: { index: at, id } };
  } catch {
    return null;
  }
}

const beginnings = ['{"class_uid":', '{"index":'];

/** True for what may be the first part of a line that was cut short, nothing included. */
export function mayBeginLine(text: string): boolean {
  return beginnings.some((each) => each.startsWith(text) || text.startsWith(each));
}
