import { uuidOf } from '../domain/ids.ts';
import { row, type Runner } from './transaction.ts';

/** Entries that follow on one another, and what they speak of. */
export interface Spoken {
  readonly from: number;
  /** The position after the last. */
  readonly until: number;
  readonly subjects: readonly { readonly subject: string; readonly position: number }[];
}

/** How many entries there are, and of how many, from the first on, it is noted what they speak of. */
export async function findIndexed(runner: Runner): Promise<{ readonly size: number; readonly indexed: number }> {
  const text = 'SELECT s.size, i.size AS indexed FROM ledger_state s, ledger_indexed i';
  return (await row<{ size: number; indexed: number }>(runner, 'find-indexed', text))!;
}

/**
 * Notes what entries speak of, if these are the next ones: then what concerns somebody or something is found without
 * reading all. All of it or nothing, and each entry once, however many brokers are at it.
 * @param again some of it may have been noted before.
 * @returns whether they were the next ones.
 */
export async function indexSubjects(
  runner: Runner,
  { from, until, subjects }: Spoken,
  again = false,
): Promise<boolean> {
  const found = await row<{ was: boolean }>(
    runner,
    again ? 'index-subjects-again' : 'index-subjects',
    // In the index's own order, most of them land beside the one before.
    `WITH next AS (
       UPDATE ledger_indexed SET size = $2 WHERE size = $1 RETURNING size
     ), noted AS (
       INSERT INTO ledger_subjects (subject, position)
       SELECT subject, position FROM next, unnest($3::uuid[], $4::bigint[]) AS of (subject, position)
       ORDER BY subject, position ${again ? 'ON CONFLICT DO NOTHING' : ''}
     ) SELECT EXISTS (SELECT FROM next) AS was`,
    [from, until, subjects.map((each) => uuidOf(each.subject)), subjects.map((each) => each.position)],
  );
  return found!.was;
}
