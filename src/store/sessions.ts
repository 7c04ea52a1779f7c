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
  /** True when its grant has ended, or its device left it, and the device has not said that the session ended. */
  readonly unconfirmed: boolean;
}

export const sessionStates = ['open', 'ended', 'unconfirmed'] as const;
export type SessionState = (typeof sessionStates)[number];

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

/** Its grant has ended, or its device has left it. */
const isOver = (session: string): string => `(EXISTS (
  SELECT 1 FROM grants g WHERE g.id = ${session}.grant_id AND (g.ending IS NOT NULL OR g.expires_at <= ${clockSql})
) OR EXISTS (
  SELECT 1 FROM grant_devices d WHERE d.grant_id = ${session}.grant_id AND d.device = ${session}.device
    AND d.left_at IS NOT NULL
))`;
const listedSessions: Listed<SessionState> = {
  table: 'sessions',
  owner: 'person',
  states: {
    open: [`x.ended_at IS NULL AND NOT ${isOver('x')}`],
    ended: ['x.ended_at IS NOT NULL'],
    unconfirmed: [`x.ended_at IS NULL AND ${isOver('x')}`],
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
      s.ended_at AS "endedAt", s.end_cause AS "endCause", s.ended_at IS NULL AND ${isOver('s')} AS unconfirmed
    FROM (${source}) s ORDER BY s.id DESC`;
  return rows<SessionRow>(runner, null, text, values.list);
}
