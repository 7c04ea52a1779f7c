import type { CredentialId, DeviceId, GrantId, PersonId } from '../domain/ids.ts';
import { onceNowSql, post, rows, type Runner, type Tx } from './transaction.ts';

/** Keeps what is known of an issued credential; never the credential itself. */
export function insertCredential(
  tx: Tx,
  credential: {
    readonly id: CredentialId;
    readonly grant: GrantId;
    readonly device: DeviceId;
    readonly person: PersonId;
    readonly hash: Buffer;
    readonly issuedAt: Date;
    readonly expiresAt: Date;
  },
): void {
  post(
    tx,
    'insert-credential',
    `INSERT INTO credentials (id, grant_id, device, person, hash, issued_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      credential.id,
      credential.grant,
      credential.device,
      credential.person,
      credential.hash,
      credential.issuedAt,
      credential.expiresAt,
    ],
  );
}

/**
 * Uses up a proof or an assertion, for all brokers. Of many who try at once, one gets true; while one that has not
 * committed holds it, the others wait.
 * @param hash base64url SHA-256 that stands for the proof.
 */
export async function useProof(runner: Runner, hash: string, expiresAt: Date): Promise<boolean> {
  const found = await rows(
    runner,
    'use-proof',
    'INSERT INTO used_proofs (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING hash',
    [Buffer.from(hash, 'base64url'), expiresAt],
  );
  return found.length > 0;
}

/** Forgets what would be refused for its age anyway. */
export async function forgetExpired(runner: Runner): Promise<void> {
  await rows(runner, 'forget-proofs', `DELETE FROM used_proofs WHERE expires_at < ${onceNowSql} - interval '1 minute'`);
  await rows(runner, 'forget-answers', `DELETE FROM idempotent_answers WHERE expires_at < ${onceNowSql}`);
  await rows(
    runner,
    'forget-codes',
    `DELETE FROM enrolment_codes WHERE expires_at < ${onceNowSql} - interval '30 days' AND used_by IS NULL`,
  );
}
