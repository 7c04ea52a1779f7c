import type { NoticeId, PersonId } from '../domain/ids.ts';
import { newest, Values } from './listing.ts';
import { post, rows, type Runner, type Tx } from './transaction.ts';

/** Something that one person, or everyone of a team, must be told. */
export interface Notice {
  readonly id: NoticeId;
  readonly person: PersonId | null;
  readonly team: string | null;
  readonly kind: NoticeKind;
  readonly subject: string;
  readonly at: Date;
}

export type NoticeKind =
  | 'break-glass-scheduled'
  | 'break-glass-used'
  | 'another-key-refused'
  | 'grant-revoked'
  | 'request-decided'
  | 'review-overdue';

export function insertNotices(tx: Tx, notices: readonly Notice[]): void {
  post(
    tx,
    'insert-notices',
    `INSERT INTO notices (id, person, team, kind, subject, created_at)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])`,
    [
      notices.map((each) => each.id),
      notices.map((each) => each.person),
      notices.map((each) => each.team),
      notices.map((each) => each.kind),
      notices.map((each) => each.subject),
      notices.map((each) => each.at),
    ],
  );
}

/** What a person must be told, themselves or as one of these teams, newest first. */
export async function listNotices(
  runner: Runner,
  to: { readonly person: PersonId; readonly teams: readonly string[] },
  wanted: { readonly before: NoticeId | null; readonly limit: number },
): Promise<Notice[]> {
  const values = new Values();
  const limit = values.add(wanted.limit);
  const earlier = wanted.before ? [`x.id < ${values.add(wanted.before)}`] : [];
  const source = newest(
    'notices',
    [
      { where: [`x.person = ${values.add(to.person)}`, ...earlier] },
      {
        each: `SELECT DISTINCT id FROM unnest(${values.add(to.teams)}::text[]) AS of (id)`,
        where: ['x.team = each.id', ...earlier],
      },
    ],
    limit,
  );
  const text = `SELECT id, person, team, kind, subject, created_at AS at FROM (${source}) n ORDER BY id DESC`;
  return rows<Notice>(runner, null, text, values.list);
}
