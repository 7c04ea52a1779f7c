// Writes down what `migrations.test.ts` compares with: run it after adding a migration, and look at what changed.
import { createHash } from 'node:crypto';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newTestDatabase } from '../support/postgres.ts';
import { connect } from '../support/sql.ts';
import { describeSchema } from './schema.ts';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const database = await newTestDatabase();
const client = await connect(database.superuserUrl);
writeFileSync(file('schema.txt'), await describeSchema(client));
await client.end();
await database.drop();

const hashes = globSync(file('../../migrations/*.sql'))
  .sort()
  .map((path) => [basename(path), createHash('sha256').update(readFileSync(path)).digest('hex')] as const);
writeFileSync(file('migrations.json'), `${JSON.stringify(Object.fromEntries(hashes), null, 2)}\n`);
