import { uuidOf } from '../domain/ids.ts';
import { findIndexed } from './ledger-subjects.ts';
import { row, rows, type Runner } from './transaction.ts';

export interface EntryFilter {
  /** Only these tenants' entries, by slug; null means all entries. */
  readonly slugs: readonly string[] | null;
  /** A person, device, grant, request, session or tenant that entries speak of. */
  readonly subject: string | null;
  readonly types: readonly string[] | null;
  /** One tenant's, by id or slug. */
  readonly tenant: string | null;
  readonly after: Date | null;
  readonly before: Date | null;
}

export interface FoundEntries {
  readonly entries: readonly { readonly position: number; readonly bytes: Buffer }[];
  /** Where to go on; null when there are no more. */
  readonly next: number | null;
}

interface Range {
  readonly from: number;
  /** The position after the last. */
  readonly until: number;
}

/** How many entries one call looks at, so that a rare type costs no more than a common one. */
const window = 10_000;
/**
 * An event has the time of its transaction, and gets its position when that has written it: between two neighbours the
 * time may go back by as long as a transaction may last, which is less than this (milliseconds).
 */
const disorder = 60_000;

/**
 * Entries from a position on that fit a filter, oldest first. Those of a subject or a tenant are found through the
 * index of subjects, but for the newest, which are not in it yet, and a time by halving; of what is left, a call looks at a
 * bounded number.
 */
export async function listEntries(
  runner: Runner,
  filter: EntryFilter,
  wanted: { readonly from: number; readonly limit: number; readonly size: number },
): Promise<FoundEntries> {
  const [range, subjects] = await Promise.all([rangeOf(runner, filter, wanted), subjectsOf(runner, filter)]);
  if (range.from >= range.until || subjects?.length === 0) return { entries: [], next: null };
  if (!subjects) return listOfAll(runner, filter, range, wanted.limit, null);
  const { indexed } = await findIndexed(runner);
  const older = { from: range.from, until: Math.min(range.until, indexed) };
  const found = await listOfSubjects(runner, filter, older, subjects, wanted.limit);
  if (found.next !== null || range.until <= indexed) return found;
  const newest = { from: Math.max(range.from, indexed), until: range.until };
  const rest = await listOfAll(runner, filter, newest, wanted.limit - found.entries.length, subjects);
  return { entries: [...found.entries, ...rest.entries], next: rest.next };
}

async function rangeOf(
  runner: Runner,
  { after, before }: EntryFilter,
  { from, size }: { readonly from: number; readonly size: number },
): Promise<Range> {
  const [first, end] = await Promise.all([
    after && seek(runner, new Date(after.getTime() - disorder), size),
    before && seek(runner, new Date(before.getTime() + disorder), size),
  ]);
  return { from: Math.max(from, first ?? 0), until: end ?? size };
}

/** The position of the first entry that is not older than `at`, as far as entries stand in the order of their times. */
async function seek(runner: Runner, at: Date, size: number): Promise<number | null> {
  const found = await row<{ position: number }>(
    runner,
    'seek-entry',
    `WITH RECURSIVE search(low, high) AS (
       SELECT 0::bigint, $2::bigint
       UNION ALL
       SELECT CASE WHEN e.at < $1 THEN e.position + 1 ELSE s.low END,
         CASE WHEN e.at < $1 THEN s.high ELSE e.position END
       FROM search s JOIN ledger_entries e ON e.position = (s.low + s.high) / 2 WHERE s.low < s.high
     ) SELECT low AS position FROM search WHERE low >= high`,
    [at, size],
  );
  return found?.position ?? null;
}

/** Under which ids the entries are found; null means under none, so all are looked at. */
async function subjectsOf(runner: Runner, { subject, tenant, slugs }: EntryFilter): Promise<string[] | null> {
  if (subject !== null) return [subject];
  if (tenant === null && slugs === null) return null;
  const found = await rows<{ id: string }>(
    runner,
    'subjects-of-tenants',
    `SELECT id FROM tenants WHERE ($1::text IS NULL OR $1 IN (id, slug)) AND ($2::text[] IS NULL OR slug = ANY ($2))`,
    [tenant, slugs],
  );
  return found.map(({ id }) => id);
}

/**
 * The event of an entry `e`, if it fits. `OFFSET 0` has each looked up by its key: a join may be planned as a walk
 * through all partitions, of which there is one more each month.
 */
const eventThatFits = `LATERAL (
  SELECT a.bytes FROM audit_events a WHERE a.id = e.event AND a.at = e.at
    AND ($3::text[] IS NULL OR a.tenant IN (SELECT id FROM tenants WHERE slug = ANY ($3)))
    AND ($4::text IS NULL OR a.tenant = (SELECT id FROM tenants WHERE $4 IN (id, slug)))
    AND ($5::text[] IS NULL OR a.type = ANY ($5))
    AND ($6::timestamptz IS NULL OR a.at >= $6) AND ($7::timestamptz IS NULL OR a.at < $7) OFFSET 0
) AS a`;

/** That it speaks of one of these indeed: the index knows nothing of kinds, and of the newest entries nothing at all. */
const speaksOf = (subjects: string): string => `EXISTS (
  SELECT FROM unnest(${subjects}::text[]) AS of (subject)
  WHERE position(convert_to('"' || subject || '"', 'UTF8') IN a.bytes) > 0
)`;

function valuesOf({ slugs, tenant, types, after, before }: EntryFilter, { from, until }: Range): unknown[] {
  return [from, until, slugs, tenant, types, after, before];
}

/** @param subjects of which an entry has to speak; null means of any. */
async function listOfAll(
  runner: Runner,
  filter: EntryFilter,
  range: Range,
  limit: number,
  subjects: readonly string[] | null,
): Promise<FoundEntries> {
  const { from, until } = range;
  const end = Math.min(until, from + window);
  const entries = await rows<FoundEntries['entries'][number]>(
    runner,
    'list-entries-all',
    `SELECT e.position, a.bytes FROM ledger_entries e, ${eventThatFits}
     WHERE e.position >= $1 AND e.position < $2
       AND ($9::text[] IS NULL OR ${speaksOf('$9')})
     ORDER BY e.position LIMIT $8`,
    [...valuesOf(filter, { from, until: end }), limit, subjects],
  );
  if (entries.length === limit) return { entries, next: entries.at(-1)!.position + 1 };
  return { entries, next: end < until ? end : null };
}

/** The first positions of each subject in the range, together in order. */
const candidates = (subjects: string, most: string): string => `
  SELECT DISTINCT found.position FROM unnest(${subjects}::uuid[]) AS of (subject), LATERAL (
    SELECT s.position FROM ledger_subjects s WHERE s.subject = of.subject AND s.position >= $1 AND s.position < $2
    ORDER BY s.position LIMIT ${most}
  ) AS found ORDER BY found.position LIMIT ${most}`;

async function listOfSubjects(
  runner: Runner,
  filter: EntryFilter,
  range: Range,
  subjects: readonly string[],
  limit: number,
): Promise<FoundEntries> {
  // Where nothing more is asked than whose they are, the first that are found are the ones.
  const most = filter.types === null && filter.subject === null ? limit : window;
  const uuids = subjects.map(uuidOf);
  const entries = await rows<FoundEntries['entries'][number]>(
    runner,
    'list-entries-subjects',
    `WITH candidates AS MATERIALIZED (${candidates('$10', '$11')})
     SELECT c.position, a.bytes FROM candidates c,
       LATERAL (SELECT event, at FROM ledger_entries WHERE position = c.position OFFSET 0) AS e, ${eventThatFits}
     WHERE ${speaksOf('$9')} ORDER BY c.position LIMIT $8`,
    [...valuesOf(filter, range), limit, subjects, uuids, most],
  );
  if (entries.length === limit) return { entries, next: entries.at(-1)!.position + 1 };
  const end = await row<{ last: number | null; looked: number }>(
    runner,
    'end-of-candidates',
    `SELECT max(position) AS last, count(*)::integer AS looked FROM (${candidates('$3', '$4')}) AS looked`,
    [range.from, range.until, uuids, most],
  );
  return { entries, next: end!.looked === most ? end!.last! + 1 : null };
}
