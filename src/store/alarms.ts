import type { AlarmId, GrantId, TenantId } from '../domain/ids.ts';
import { newest, Values } from './listing.ts';
import { rows, type Runner, type Tx } from './transaction.ts';

export interface Alarm {
  readonly id: AlarmId;
  readonly kind: string;
  readonly subject: string;
  /** The grant that it is over, where that is not what it is about. */
  readonly grant: GrantId | null;
  readonly tenant: TenantId | null;
  readonly since: Date;
  readonly closedAt: Date | null;
}

/** Raises an alarm unless one of that kind is open for that subject. @returns false when there was. */
export async function insertAlarm(tx: Tx, alarm: Omit<Alarm, 'closedAt'>): Promise<boolean> {
  const found = await rows(
    tx,
    'insert-alarm',
    `INSERT INTO alarms (id, kind, subject, tenant, since, grant_id) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id`,
    [alarm.id, alarm.kind, alarm.subject, alarm.tenant, alarm.since, alarm.grant],
  );
  return found.length > 0;
}

/** Closes whatever of these kinds is open for a subject. @returns the alarms closed. */
export async function closeAlarms(tx: Tx, kinds: readonly string[], subject: string, at: Date): Promise<Alarm[]> {
  return rows<Alarm>(
    tx,
    'close-alarms',
    `UPDATE alarms SET closed_at = greatest($3, since) WHERE kind = ANY ($1) AND subject = $2 AND closed_at IS NULL
     RETURNING id, kind, subject, grant_id AS "grant", tenant, since, closed_at AS "closedAt"`,
    [kinds, subject, at],
  );
}

/** Alarms, newest first; only those of these tenants unless `slugs` is null. */
export async function listAlarms(
  runner: Runner,
  filter: { readonly slugs: readonly string[] | null; readonly open: boolean | null },
  wanted: { readonly before: AlarmId | null; readonly limit: number },
): Promise<Alarm[]> {
  const values = new Values();
  const limit = values.add(wanted.limit);
  const where = [];
  if (filter.open !== null) where.push(filter.open ? 'x.closed_at IS NULL' : 'x.closed_at IS NOT NULL');
  if (wanted.before) where.push(`x.id < ${values.add(wanted.before)}`);
  const way = filter.slugs
    ? {
        each: `SELECT id FROM tenants WHERE slug = ANY (${values.add(filter.slugs)})`,
        where: ['x.tenant = each.id', ...where],
      }
    : { where };
  const text = `SELECT id, kind, subject, grant_id AS "grant", tenant, since, closed_at AS "closedAt" FROM (${newest('alarms', [way], limit)}) a`;
  return rows<Alarm>(runner, null, `${text} ORDER BY id DESC`, values.list);
}
