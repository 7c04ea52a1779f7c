import type { EndedGrant, Ending, LiveGrant, ReviewVerdict } from '../domain/grant.ts';
import type { GrantId, PersonId } from '../domain/ids.ts';
import type { Commitment } from '../ledger/events.ts';
import { bytes } from './listing.ts';
import { post, rows, type Tx } from './transaction.ts';

/** Writes a new grant and the devices it is good for; `startedAt` says that its beginning is recorded with it. */
export function insertGrant(tx: Tx, grant: LiveGrant, duration: number, startedAt: Date | null): void {
  post(
    tx,
    'insert-grant',
    `WITH made AS (
       INSERT INTO grants (id, request, person, tenant, profile, scopes, duration, starts_at, expires_at, review_due_at,
         started_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12)
     )
     INSERT INTO grant_devices (grant_id, device, position, expires_at)
     SELECT $1, device, position, $9 FROM unnest($11::text[]) WITH ORDINALITY AS of (device, position)`,
    [
      grant.id,
      grant.request,
      grant.person,
      grant.tenant,
      grant.profile,
      grant.scopes,
      duration,
      grant.startsAt,
      grant.expiresAt,
      grant.review?.dueAt ?? null,
      grant.devices,
      startedAt,
    ],
  );
}

/** Records that a scheduled grant has begun. */
export async function recordStart(tx: Tx, id: GrantId, at: Date): Promise<void> {
  await rows(tx, 'record-start', 'UPDATE grants SET started_at = $2 WHERE id = $1', [id, at]);
}

/** Moves a grant's end away. */
export async function recordExtension(tx: Tx, id: GrantId, expiresAt: Date): Promise<void> {
  await rows(
    tx,
    'record-extension',
    `WITH extended AS (UPDATE grants SET expires_at = $2 WHERE id = $1)
     UPDATE grant_devices SET expires_at = $2 WHERE grant_id = $1`,
    [id, expiresAt],
  );
}

/**
 * Records an ending before time.
 * @param reason a commitment to a person's words; the broker's own words go into `note` instead.
 */
export async function recordEnding(
  tx: Tx,
  grant: EndedGrant & { readonly ending: Ending },
  reason: Commitment | null,
  note: string | null,
): Promise<void> {
  const { state, at, by } = grant.ending;
  await rows(
    tx,
    'record-ending',
    'UPDATE grants SET ending = $2, ended_at = $3, ended_by = $4, end_reason = $5, end_note = $6 WHERE id = $1',
    [grant.id, state, at, by, bytes(reason), note],
  );
}

/** Fixes the key of a grant at its first credential. */
export function fixKey(tx: Tx, id: GrantId, thumbprint: string): void {
  post(tx, 'fix-key', 'UPDATE grants SET key_thumbprint = $2 WHERE id = $1', [id, thumbprint]);
}

export async function recordReview(
  tx: Tx,
  id: GrantId,
  review: { readonly by: PersonId; readonly verdict: ReviewVerdict; readonly at: Date },
): Promise<void> {
  await rows(
    tx,
    'record-review',
    'UPDATE grants SET review_by = $2, review_verdict = $3, reviewed_at = $4 WHERE id = $1',
    [id, review.by, review.verdict, review.at],
  );
}
