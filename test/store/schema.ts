import type { ClientBase } from 'pg';

/** The schema as text, the same from every PostgreSQL that Latchkey runs on. Partitions come and go, and are left out. */
export async function describeSchema(client: ClientBase): Promise<string> {
  const { rows } = await client.query<{ line: string }>(`
    WITH ours AS (
      SELECT c.oid, c.relname FROM pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
        AND c.relname <> 'schema_migrations'
    ), lines (thing, part, position, line) AS (
      SELECT relname, 1, a.attnum::integer, '  ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
          || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
          || coalesce(CASE a.attgenerated WHEN 's' THEN ' generated ' ELSE ' default ' END || pg_get_expr(d.adbin, d.adrelid), '')
        FROM ours JOIN pg_attribute a ON a.attrelid = ours.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      UNION ALL SELECT relname, 2, 0, '  ' || conname || ' ' || pg_get_constraintdef(k.oid)
        FROM ours JOIN pg_constraint k ON k.conrelid = ours.oid AND k.contype <> 'n'
      UNION ALL SELECT relname, 3, 0, '  ' || pg_get_indexdef(indexrelid) FROM ours JOIN pg_index ON indrelid = ours.oid
      UNION ALL SELECT relname, 4, 0, '  ' || tgenabled::text || ' ' || pg_get_triggerdef(t.oid)
        FROM ours JOIN pg_trigger t ON tgrelid = ours.oid AND NOT tgisinternal
      UNION ALL SELECT relname, 0, 0, relname FROM ours
      UNION ALL SELECT '~domain ' || typname, 0, 0, 'domain ' || typname || ' ' || format_type(typbasetype, typtypmod) || ' '
          || pg_get_constraintdef(k.oid)
        FROM pg_type t JOIN pg_constraint k ON k.contypid = t.oid WHERE typnamespace = 'public'::regnamespace
      UNION ALL SELECT '~function ' || proname, 0, 0, 'function ' || proname || '(' || pg_get_function_arguments(p.oid) || ') '
          || md5(prosrc) || CASE WHEN prosecdef THEN ' security definer ' ELSE ' ' END || coalesce(proconfig::text, '')
        FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
    )
    SELECT line FROM lines ORDER BY thing COLLATE "C", part, position, line COLLATE "C"`);
  return rows.map((row) => `${row.line.trimEnd()}\n`).join('');
}
