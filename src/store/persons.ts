import type { PersonId, RequestId } from '../domain/ids.ts';
import { onceNowSql, row, rows, type Runner, type Tx } from './transaction.ts';

/** What an identity provider said of someone, at a given moment. */
export interface PersonClaims {
  readonly issuer: string;
  readonly subject: string;
  readonly name: string | null;
  readonly emailFolded: string | null;
  readonly human: string | null;
  readonly teams: readonly string[];
  readonly employer: string | null;
  readonly region: string | null;
  readonly trainingValidUntil: string | null;
  readonly claimsAt: Date;
}

export interface PersonRow {
  readonly id: PersonId;
  readonly teams: string[];
  readonly employer: string | null;
  readonly region: string | null;
  readonly training_valid_until: Date | null;
}

/**
 * Finds or makes the person that issuer and subject stand for, and keeps the newest claims: an older token never
 * overwrites what a newer one said. Addresses and human claims are added, never replaced. A token from before the
 * person was erased brings nothing back.
 * @param freshId the id to use if there is none yet.
 */
export async function upsertPerson(runner: Runner, freshId: PersonId, claims: PersonClaims): Promise<PersonId> {
  const found = await row<{ id: PersonId }>(
    runner,
    'upsert-person',
    `WITH person AS (
       INSERT INTO persons (id, issuer, subject, teams, employer, region, training_valid_until, claims_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT ON CONSTRAINT one_person_per_subject DO UPDATE SET
         teams = CASE WHEN persons.claims_at <= $8 THEN $4 ELSE persons.teams END,
         employer = CASE WHEN persons.claims_at <= $8 THEN $5 ELSE persons.employer END,
         region = CASE WHEN persons.claims_at <= $8 THEN $6 ELSE persons.region END,
         training_valid_until = CASE WHEN persons.claims_at <= $8 THEN $7 ELSE persons.training_valid_until END,
         claims_at = greatest(persons.claims_at, $8)
       RETURNING id, coalesce(erased_at < $8, true) AS news
     ), named AS (
       INSERT INTO personal_data (person, kind, value) SELECT id, 'name', $9 FROM person WHERE news AND $9::text IS NOT NULL
       ON CONFLICT (person) WHERE kind = 'name' DO UPDATE SET value = EXCLUDED.value
     ), aliased AS (
       INSERT INTO personal_data (person, kind, value)
       SELECT id, kind, value FROM person, (VALUES ('email', $10::text), ('human', $11::text)) AS alias (kind, value)
       WHERE news AND value IS NOT NULL
       ON CONFLICT DO NOTHING
     )
     SELECT id FROM person`,
    [
      freshId,
      claims.issuer,
      claims.subject,
      claims.teams,
      claims.employer,
      claims.region,
      claims.trainingValidUntil,
      claims.claimsAt,
      claims.name,
      claims.emailFolded,
      claims.human,
    ],
  );
  return found!.id;
}

/** What was last said of a person; null when there is no such person. */
export async function findPerson(runner: Runner, id: PersonId): Promise<PersonRow | null> {
  return row<PersonRow>(
    runner,
    'find-person',
    'SELECT id, teams, employer, region, training_valid_until FROM persons WHERE id = $1',
    [id],
  );
}

/**
 * Every person that counts as the same human, the given one included: linked by an operator, or through a shared
 * address or human claim, over any number of steps.
 */
export async function aliasesOf(runner: Runner, person: PersonId): Promise<Set<PersonId>> {
  const found = await rows<{ person: PersonId }>(
    runner,
    'aliases-of',
    `SELECT person FROM (
       WITH RECURSIVE human (person) AS (
         SELECT $1::typeid
         UNION
         SELECT next.person FROM human, LATERAL (
           SELECT b.person FROM personal_data a JOIN personal_data b USING (kind, value)
             WHERE a.person = human.person AND a.kind <> 'name' AND b.kind <> 'name'
           UNION ALL SELECT other FROM person_links WHERE person_links.person = human.person
           UNION ALL SELECT person_links.person FROM person_links WHERE other = human.person
         ) AS next
       ) SELECT person FROM human
     ) AS humans`,
    [person],
  );
  return new Set(found.map((each) => each.person));
}

/** The names of these persons; whoever has been erased, or never had one, is absent. */
export async function namesOf(runner: Runner, persons: readonly PersonId[]): Promise<Map<PersonId, string>> {
  if (persons.length === 0) return new Map();
  const found = await rows<{ person: PersonId; value: string }>(
    runner,
    'names-of',
    `SELECT person, value FROM personal_data WHERE kind = 'name' AND person = ANY ($1)`,
    [[...new Set(persons)]],
  );
  return new Map(found.map((each) => [each.person, each.value]));
}

/** The names of whoever asked for something or has decided on it, and of one person more. */
export async function namesAround(
  runner: Runner,
  request: RequestId,
  person: PersonId,
): Promise<Map<PersonId, string>> {
  const found = await rows<{ person: PersonId; value: string }>(
    runner,
    'names-around',
    `SELECT person, value FROM personal_data WHERE kind = 'name' AND person IN (
       SELECT requester FROM requests WHERE id = $1
       UNION SELECT person FROM decisions WHERE request = $1
       UNION SELECT $2::typeid)`,
    [request, person],
  );
  return new Map(found.map((each) => [each.person, each.value]));
}

/** Says that two persons are one human. @returns false when that was known. */
export async function linkPersons(runner: Runner, a: PersonId, b: PersonId, by: PersonId): Promise<boolean> {
  const found = await rows(
    runner,
    'link-persons',
    `INSERT INTO person_links (person, other, linked_by) VALUES (least($1, $2), greatest($1, $2), $3)
     ON CONFLICT DO NOTHING RETURNING person`,
    [a, b, by],
  );
  return found.length > 0;
}

/** Whether somebody still waits for a decision, holds a grant, or held one whose review is due. */
export async function hasUnfinishedBusiness(runner: Runner, person: PersonId): Promise<boolean> {
  const found = await row<{ unfinished: boolean }>(
    runner,
    'has-unfinished-business',
    `SELECT EXISTS (
       SELECT FROM requests WHERE requester = $1 AND state = 'pending' AND lapses_at > ${onceNowSql}
     ) OR EXISTS (
       SELECT FROM grants WHERE person = $1 AND (
         ending IS NULL AND expires_at > ${onceNowSql} OR review_due_at IS NOT NULL AND review_verdict IS NULL)
     ) AS unfinished`,
    [person],
  );
  return found!.unfinished;
}

/** Deletes all that is known of a person but the id. @returns false when there was nothing. */
export async function erasePerson(tx: Tx, id: PersonId, at: Date): Promise<boolean> {
  const found = await row<{ erased: boolean }>(tx, 'erase-person', 'SELECT erase_person($1, $2) AS erased', [id, at]);
  return found!.erased;
}
