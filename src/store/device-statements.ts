import type { DeviceId, EventId } from '../domain/ids.ts';
import { row, rows, type Runner, type Tx } from './transaction.ts';

/** Takes note of a device's statement. @returns false when it was known: it counts once. */
export async function claimStatement(tx: Tx, device: DeviceId, jti: EventId): Promise<boolean> {
  const found = await row<object>(
    tx,
    'claim-statement',
    'INSERT INTO device_statements (device, jti) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING jti',
    [device, jti],
  );
  return found !== null;
}

/** Forgets at most that many statements whose ids sort before that one. @returns how many there were. */
export async function forgetStatements(runner: Runner, before: EventId, limit: number): Promise<number> {
  const found = await rows(
    runner,
    'forget-statements',
    `DELETE FROM device_statements
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM device_statements WHERE jti < $1 ORDER BY jti LIMIT $2)) RETURNING 1`,
    [before, limit],
  );
  return found.length;
}
