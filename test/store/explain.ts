import assert from 'node:assert/strict';
import { escapeLiteral, type ClientBase } from 'pg';
import type { Tx } from '../../src/store/transaction.ts';

/** A statement as the store ran it. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: unknown[];
}

/** A transaction that keeps what is run in it. */
export function recording(client: ClientBase): { readonly tx: Tx; readonly statements: Statement[] } {
  const statements: Statement[] = [];
  const query = (statement: Statement): unknown => {
    statements.push(statement);
    return client.query(statement as never);
  };
  return { tx: { query, post: query, __transaction: true } as unknown as Tx, statements };
}

interface Node {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly Node[];
}

/** What a statement read: how many rows, and of which tables the whole. */
export interface Reading {
  readonly rows: number;
  readonly wholeTables: readonly string[];
  readonly scans: readonly string[];
}

/**
 * Runs a statement and says what it read: planned for its values, or once for all values, as PostgreSQL does with a
 * prepared statement after some use.
 */
export async function explain(client: ClientBase, statement: Statement, plan: 'custom' | 'generic'): Promise<Reading> {
  const values = statement.values ?? [];
  await client.query(`SET LOCAL plan_cache_mode = force_${plan}_plan`);
  await client.query(`PREPARE explained AS ${statement.text}`);
  const list = values.length > 0 ? `(${values.map(literal).join(', ')})` : '';
  const { rows } = await client.query<{ 'QUERY PLAN': readonly { Plan: Node }[] }>(
    `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE explained${list}`,
  );
  await client.query('DEALLOCATE explained');
  const nodes = [...walk(rows[0]!['QUERY PLAN'][0]!.Plan)].filter((node) => (node['Actual Loops'] ?? 0) > 0);
  const scans = nodes.filter((node) => node['Node Type'].endsWith('Scan') && node['Relation Name']);
  const read = (node: Node): number =>
    ((node['Actual Rows'] ?? 0) +
      (node['Rows Removed by Filter'] ?? 0) +
      (node['Rows Removed by Index Recheck'] ?? 0)) *
    (node['Actual Loops'] ?? 0);
  return {
    rows: Math.round(scans.reduce((sum, node) => sum + read(node), 0)),
    wholeTables: scans
      .filter((node) => node['Node Type'] === 'Seq Scan')
      .map((node) => node['Relation Name']!)
      .filter((table) => !small.includes(table)),
    scans: scans.map((node) => `${node['Node Type']} ${node['Index Name'] ?? node['Relation Name']}: ${read(node)}`),
  };
}

/** Tables that are read whole with good reason: there are no more tenants than customers, and of the others there is a row. */
const small = ['tenants', 'ledger_state', 'ledger_indexed'];

function* walk(node: Node): Generator<Node> {
  yield node;
  for (const child of node.Plans ?? []) yield* walk(child);
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  if (Buffer.isBuffer(value)) return `'\\x${value.toString('hex')}'`;
  if (value instanceof Date) return `'${value.toISOString()}'`;
  if (Array.isArray(value)) {
    const items = value.map((each) =>
      each === null
        ? 'NULL'
        : `"${(Buffer.isBuffer(each) ? `\\\\x${each.toString('hex')}` : each instanceof Date ? each.toISOString() : String(each)).replaceAll('"', '\\"')}"`,
    );
    return escapeLiteral(`{${items.join(',')}}`);
  }
  assert.ok(typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean');
  return escapeLiteral(String(value));
}
