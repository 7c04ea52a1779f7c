import type { CredentialId, DeviceId, GrantId, PersonId, SessionId, TenantId } from '../domain/ids.ts';
import { clockSql, pageOf, withClock, type Listed, type Page, type Seen, type Values } from './listing.ts';
import { row, rows, type Runner, type Tx } from './transaction.ts';

export interface SessionRow {
  readonly id: SessionId;
  readonly device: DeviceId;
  readonly grant: GrantId;
  readonly person: PersonId;
  readonly scopes: readonly string[];
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly endCause: string | null;
  /** True when the grant has ended and the device has not yet said that the session did. */
  readonly unconfirmed: boolean;
}

export const sessionStates = ['open', 'ended', 'unconfirmed'] as const;
export type SessionState = (typeof sessionStates)[number];

/** Takes note of a device's statement. @returns false when it was known: it counts once. */
export async function claimStatement(tx: Tx, device: DeviceId, jti: string): Promise<boolean> {
  const found = await row<object>(
    tx,
    'claim-statement',
    'INSERT INTO device_statements (device, jti) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING jti',
    [device, jti],
  );
  return found !== null;
}

/** True when the broker issued this very credential for this grant on this device to this person. */
export async function isIssued(
  tx: Tx,
  credential: {
    readonly id: CredentialId;
    readonly hash: Buffer;
    readonly grant: GrantId;
    readonly device: DeviceId;
    readonly person: PersonId;
  },
): Promise<boolean> {
  const found = await row<object>(
    tx,
    'is-issued',
    'SELECT 1 FROM credentials WHERE id = $1 AND hash = $2 AND grant_id = $3 AND device = $4 AND person = $5',
    [credential.id, credential.hash, credential.grant, credential.device, credential.person],
  );
  return found !== null;
}

export async function insertSession(
  tx: Tx,
  session: Omit<SessionRow, 'endedAt' | 'endCause' | 'unconfirmed'> & {
    readonly tenant: TenantId;
    readonly credential: CredentialId;
  },
): Promise<void> {
  await rows(
    tx,
    'insert-session',
    `INSERT INTO sessions (id, device, grant_id, person, tenant, credential, scopes, started_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
    [
      session.id,
      session.device,
      session.grant,
      session.person,
      session.tenant,
      session.credential,
      session.scopes,
      session.startedAt,
    ],
  );
}

/** Takes note that a session has ended, on the word of its own device. */
export async function endSession(
  tx: Tx,
  id: SessionId,
  device: DeviceId,
  end: { readonly at: Date; readonly cause: string; readonly lagMs: number },
): Promise<void> {
  await rows(
    tx,
    'end-session',
    `UPDATE sessions SET ended_at = $3, end_cause = $4, lag_ms = $5
     WHERE id = $1 AND device = $2 AND ended_at IS NULL`,
    [id, device, end.at, end.cause, end.lagMs],
  );
}

const grantIsOver = (session: string): string => `EXISTS (
  SELECT 1 FROM grants g WHERE g.id = ${session}.grant_id AND (g.ending IS NOT NULL OR g.expires_at <= ${clockSql})
)`;
const listedSessions: Listed<SessionState> = {
  table: 'sessions',
  owner: 'person',
  states: {
    open: [`x.ended_at IS NULL AND NOT ${grantIsOver('x')}`],
    ended: ['x.ended_at IS NOT NULL'],
    unconfirmed: [`x.ended_at IS NULL AND ${grantIsOver('x')}`],
  },
};

/** Sessions that somebody may see, newest first. */
export async function listSessions(
  runner: Runner,
  filter: {
    readonly seen: Seen;
    readonly states: readonly SessionState[];
    readonly grant: GrantId | null;
    readonly device: DeviceId | null;
  },
  wanted: Page<SessionId>,
): Promise<SessionRow[]> {
  const { grant, device } = filter;
  const { source, values } = pageOf(listedSessions, { ...filter, tenant: null }, wanted, [
    ...(grant ? [(values: Values) => `x.grant_id = ${values.add(grant)}`] : []),
    ...(device ? [(values: Values) => `x.device = ${values.add(device)}`] : []),
  ]);
  const text = `${withClock} SELECT s.id, s.device, s.grant_id AS "grant", s.person, s.scopes, s.started_at AS "startedAt",
      s.ended_at AS "endedAt", s.end_cause AS "endCause", s.ended_at IS NULL AND ${grantIsOver('s')} AS unconfirmed
    FROM (${source}) s ORDER BY s.id DESC`;
  return rows<SessionRow>(runner, null, text, values.list);
}
