import type { TestBroker } from './broker.ts';

/** All that the database holds in readable form. What answers were kept is sealed, and forgotten within a day. */
export async function everythingKept(broker: TestBroker): Promise<string> {
  const { rows: tables } = await broker.sql.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`,
  );
  const dumps = tables.map(async ({ name }) => {
    const { rows } = await broker.sql.query<{ line: string }>(
      name.startsWith('audit_events')
        ? `SELECT convert_from(bytes, 'UTF8') AS line FROM ${name}`
        : `SELECT row_to_json(t)::text AS line FROM ${name} t`,
    );
    return rows.map(({ line }) => line).join('\n');
  });
  return (await Promise.all(dumps)).join('\n');
}
