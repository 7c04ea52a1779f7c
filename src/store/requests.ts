import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../domain/ids.ts';
import type { DataClass } from '../domain/profile.ts';
import {
  requestAt,
  type AccessRequest,
  type PendingRequest,
  type RecordedOutcome,
  type RequestState,
  type Stage,
  type StageDecision,
  type Verdict,
} from '../domain/request.ts';
import type { Narrow } from '../domain/terms.ts';
import type { Commitment } from '../ledger/events.ts';
import { bytes, clockSql, newest, pageOf, Values, withClock, type Listed, type Page, type Seen } from './listing.ts';
import { nowSql, post, row, rows, type Runner, type Tx } from './transaction.ts';

/** A request with what the store alone knows of it. */
export interface StoredRequest {
  readonly request: AccessRequest;
  /** Seconds, as the profile said when the request was made. */
  readonly longest: number;
  readonly longestTotal: number;
  /** The database's clock when this was read. */
  readonly now: Date;
}

interface RequestRow {
  id: RequestId;
  state: RequestState;
  requester: PersonId;
  tenant: TenantId;
  profile: string;
  devices: DeviceId[];
  scopes: string[];
  data_classes: DataClass[];
  duration: number;
  longest: number;
  longest_total: number;
  stages: Stage[];
  reason: string | null;
  ticket: string | null;
  extends: GrantId | null;
  created_at: Date;
  starts_at: Date | null;
  lapses_at: Date;
  grant_id: GrantId | null;
  decisions: {
    by: PersonId;
    verdict: Verdict;
    stage: string;
    comment: string | null;
    narrow: Narrow | null;
    at: string;
  }[];
  now: Date;
}

const columns = `r.id, r.state, r.requester, r.tenant, r.profile, r.devices, r.scopes, r.data_classes, r.duration,
  r.longest, r.longest_total, r.stages, r.extends, r.created_at, r.starts_at, r.lapses_at, r.grant_id`;

const readFrom = (source: string, now: string): string => `
  SELECT ${columns}, ${now} AS now,
    (SELECT value FROM disclosures WHERE commitment = r.reason) AS reason,
    (SELECT value FROM disclosures WHERE commitment = r.ticket) AS ticket,
    coalesce((
      SELECT json_agg(json_build_object('by', d.person, 'verdict', d.verdict, 'stage', d.stage, 'comment', c.value,
        'narrow', d.narrow, 'at', d.decided_at) ORDER BY d.decided_at, d.person)
      FROM decisions d LEFT JOIN disclosures c ON c.commitment = d.comment WHERE d.request = r.id
    ), '[]') AS decisions
  FROM ${source} r`;

/** A request; null when there is none. */
export async function findRequest(runner: Runner, id: RequestId): Promise<StoredRequest | null> {
  const found = await row<RequestRow>(runner, 'find-request', `${readFrom('requests', nowSql)} WHERE r.id = $1`, [id]);
  return found && parse(found);
}

/** As `findRequest`, but the row stays locked until the transaction ends, and `now` is taken after it was. */
export async function lockRequest(tx: Tx, id: RequestId): Promise<StoredRequest | null> {
  // The lock is its own statement: the decisions read next must be those committed before the lock was had.
  const [locked, found] = await Promise.all([
    row<object>(tx, 'lock-request', 'SELECT 1 FROM requests WHERE id = $1 FOR NO KEY UPDATE', [id]),
    findRequest(tx, id),
  ]);
  return locked && found;
}

/** As `lockRequest`, for a request that extends no grant; null when it does, as when there is none. */
export async function lockPlainRequest(tx: Tx, id: RequestId): Promise<StoredRequest | null> {
  const [locked, found] = await Promise.all([
    row<object>(
      tx,
      'lock-plain-request',
      'SELECT 1 FROM requests WHERE id = $1 AND extends IS NULL FOR NO KEY UPDATE',
      [id],
    ),
    findRequest(tx, id),
  ]);
  return locked && found;
}

/** Writes a new request. Its free texts are in the disclosures that their commitments name. */
export function insertRequest(
  tx: Tx,
  request: PendingRequest,
  more: {
    readonly longest: number;
    readonly longestTotal: number;
    readonly policyDigest: string;
    readonly reason: Commitment;
    readonly ticket: Commitment | null;
  },
): void {
  post(
    tx,
    'insert-request',
    `INSERT INTO requests (id, state, requester, tenant, profile, devices, scopes, data_classes, duration, longest,
       longest_total, stages, reason, ticket, extends, created_at, starts_at, lapses_at, policy_digest)
     VALUES ($1, 'pending', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
    [
      request.id,
      request.requester,
      request.tenant,
      request.profile,
      request.devices,
      request.scopes,
      request.dataClasses,
      request.duration,
      more.longest,
      more.longestTotal,
      JSON.stringify(request.stages),
      bytes(more.reason),
      bytes(more.ticket),
      request.extends,
      request.createdAt,
      request.startsAt,
      request.lapsesAt,
      more.policyDigest,
    ],
  );
}

/** Records how a pending request ended. */
export function recordOutcome(tx: Tx, id: RequestId, outcome: RecordedOutcome, at: Date): void {
  post(tx, 'record-outcome', 'UPDATE requests SET state = $2, decided_at = $3, grant_id = $4 WHERE id = $1', [
    id,
    outcome.state,
    at,
    outcome.state === 'granted' ? outcome.grant : null,
  ]);
}

export function insertDecision(
  tx: Tx,
  request: { readonly id: RequestId; readonly requester: PersonId },
  decision: StageDecision,
  comment: Commitment | null,
): void {
  post(
    tx,
    'insert-decision',
    `INSERT INTO decisions (request, requester, person, verdict, stage, comment, narrow, decided_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      request.id,
      request.requester,
      decision.by,
      decision.verdict,
      decision.stage,
      bytes(comment),
      decision.narrow && JSON.stringify(decision.narrow),
      decision.at,
    ],
  );
}

/** Lapses what still waits to extend a grant that has ended. */
export async function lapseExtensionsOf(
  tx: Tx,
  grant: GrantId,
  at: Date,
): Promise<{ id: RequestId; tenant: TenantId }[]> {
  return rows(
    tx,
    'lapse-extensions-of',
    `UPDATE requests SET state = 'lapsed', decided_at = $2 WHERE extends = $1 AND state = 'pending' RETURNING id, tenant`,
    [grant, at],
  );
}

const pending = `x.state = 'pending' AND x.lapses_at > ${clockSql}`;
const listed: Listed<RequestState> = {
  table: 'requests',
  owner: 'requester',
  states: {
    pending: [pending],
    lapsed: [`x.state = 'lapsed'`, `x.state = 'pending' AND x.lapses_at <= ${clockSql}`],
    granted: [`x.state = 'granted'`],
    denied: [`x.state = 'denied'`],
    cancelled: [`x.state = 'cancelled'`],
  },
};

async function readPage(runner: Runner, source: string, values: Values): Promise<StoredRequest[]> {
  const text = `${withClock} ${readFrom(`(${source})`, clockSql)} ORDER BY r.id DESC`;
  return (await rows<RequestRow>(runner, null, text, values.list)).map(parse);
}

/** Requests that somebody may see, newest first. */
export async function listRequests(
  runner: Runner,
  filter: { readonly seen: Seen; readonly states: readonly RequestState[]; readonly tenant: string | null },
  wanted: Page<RequestId>,
): Promise<StoredRequest[]> {
  const { source, values } = pageOf(listed, filter, wanted);
  return readPage(runner, source, values);
}

/** Pending requests with an open stage for one of these teams, not of these persons, and not yet decided by them. */
export async function listApprovable(
  runner: Runner,
  filter: { readonly teams: readonly string[]; readonly persons: readonly PersonId[]; readonly tenant: string | null },
  wanted: Page<RequestId>,
): Promise<StoredRequest[]> {
  const values = new Values();
  const limit = values.add(wanted.limit);
  const persons = values.add(filter.persons);
  const where = [
    pending,
    `x.requester <> ALL (${persons})`,
    `NOT EXISTS (SELECT 1 FROM decisions d WHERE d.request = x.id AND d.person = ANY (${persons}))`,
    `EXISTS (
       SELECT 1 FROM jsonb_to_recordset(x.stages) AS s (name text, "from" jsonb, needs integer)
       WHERE s."from" ?| ${values.add(filter.teams)}
         AND s.needs > (SELECT count(*) FROM decisions d WHERE d.request = x.id AND d.stage = s.name AND d.verdict = 'approve')
     )`,
  ];
  if (wanted.before) where.push(`x.id < ${values.add(wanted.before)}`);
  if (filter.tenant) where.push(`x.tenant = (SELECT id FROM tenants WHERE ${values.add(filter.tenant)} IN (id, slug))`);
  return readPage(runner, newest('requests', [{ where }], limit), values);
}

function parse(row: RequestRow): StoredRequest {
  const decisions: StageDecision[] = row.decisions.map((d) => ({ ...d, at: new Date(d.at) }));
  const recorded: RecordedOutcome =
    row.state === 'granted' ? { state: 'granted', grant: row.grant_id! } : { state: row.state };
  const request = requestAt(
    {
      id: row.id,
      profile: row.profile,
      tenant: row.tenant,
      devices: row.devices,
      scopes: row.scopes,
      dataClasses: row.data_classes,
      duration: row.duration,
      reason: row.reason,
      ticket: row.ticket,
      requester: row.requester,
      createdAt: row.created_at,
      startsAt: row.starts_at,
      lapsesAt: row.lapses_at,
      extends: row.extends,
      stages: row.stages,
      decisions,
    },
    recorded,
    row.now,
  );
  return { request, longest: row.longest, longestTotal: row.longest_total, now: row.now };
}
