import assert from 'node:assert/strict';
import { Client, type ClientBase } from 'pg';
import { newId } from '../../src/domain/ids.ts';
import { canonicalJson } from '../../src/ledger/canonical.ts';

/** What PostgreSQL says of a statement that it refuses. */
export interface Refusal {
  readonly code?: string;
  readonly constraint?: string;
  readonly message?: RegExp;
}

/** A connection of one's own. That it is cut when its server ends is not a failure. */
export async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Runs a statement that must be refused, and so changes nothing, in the transaction that is open or in its own. */
export async function refuses(
  client: ClientBase,
  statement: string,
  refusal: Refusal,
  values: unknown[] = [],
): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(statement, values);
  } catch (error) {
    const { code, constraint, message } = error as { code?: string; constraint?: string; message: string };
    const said = `${statement}\n  was refused with ${code}: ${message}`;
    if (refusal.code) assert.equal(code, refusal.code, said);
    if (refusal.constraint) assert.equal(constraint, refusal.constraint, said);
    if (refusal.message) assert.match(message, refusal.message, said);
    return;
  } finally {
    await client.query('ROLLBACK');
  }
  assert.fail(`nothing refused: ${statement}`);
}

/** SQLSTATEs that attacks meet. */
export const denied = '42501';

/** The values of a well-formed event that nobody asked for, for `(id, at, type, tenant, bytes)`. */
export function forgedEvent(at = new Date()): readonly [string, Date, string, null, Buffer] {
  const id = newId('event', at.getTime());
  const event = { v: 1, id, type: 'policy.loaded', at: at.toISOString(), region: 'EU', tenant: null };
  return [id, at, 'policy.loaded', null, Buffer.from(canonicalJson(event))];
}

export const insertEvent = 'INSERT INTO audit_events (id, at, type, tenant, bytes) VALUES ($1, $2, $3, $4, $5)';
