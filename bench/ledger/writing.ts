import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/development/embedded-postgres.ts';
import { withClient } from '../../src/development/postgres-roles.ts';
import { migrate } from '../../src/store/migrate.ts';
import { postgresVersion } from '../database.ts';
import type { BenchOptions } from '../main.ts';
import { scratchDirectory } from '../scratch.ts';
import type { Answer, Order, Start } from './broker.ts';
import { newCast, type Cast } from './lives.ts';

/** How many write at once, and how many events a transaction of theirs has, unless an order says otherwise. */
export const writers = 16;
export const batch = 64;
/** The same where it is only to be long. */
export const filling = { writers: 4, batch: 500 };

/** A database of its own with a ledger, and who writes into it. */
export interface WritableLedger {
  readonly postgres: EmbeddedPostgres;
  /** Of PostgreSQL. */
  readonly version: string;
  readonly broker: Writing;
}

/** Works on an empty ledger, which is gone afterwards. */
export async function withWriting<T>(
  progress: BenchOptions['progress'],
  work: (ledger: WritableLedger) => Promise<T>,
): Promise<T> {
  const scratch = scratchDirectory();
  const undo: (() => Promise<void> | void)[] = [() => scratch.remove()];
  try {
    progress('making a database');
    const postgres = await startEmbeddedPostgres({ directory: join(scratch.path, 'postgres') });
    undo.push(() => postgres.stop());
    const cast = newCast(Date.now());
    const version = await makeTables(postgres, cast);
    const broker = await startWriting({ url: postgres.appUrl, directory: scratch.path, cast });
    undo.push(() => broker.stop());
    return await work({ postgres, version, broker });
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

/** As much of a broker as writes history, in a process of its own. */
export interface Writing {
  readonly pid: number;
  readonly vkey: string;
  run(what: Order['what'], more: Partial<Order>): Promise<Answer>;
  stop(): Promise<void>;
}

async function startWriting(start: Start): Promise<Writing> {
  const child = fork(fileURLToPath(new URL('broker.ts', import.meta.url)));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.send(start);
  const { vkey } = await nextAnswer(child);
  return {
    pid: child.pid!,
    vkey: vkey!,
    run(what, more) {
      const order: Order = { what, seconds: 0, writers, batch, perSecond: 0, size: 0, ...more };
      child.send(order);
      return nextAnswer(child);
    },
    async stop() {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

function nextAnswer(child: ChildProcess): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`the writing process ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as Answer);
    });
  });
}

/** Migrates, and makes what is beside the product: the persons that events are about, and a plain table. */
async function makeTables(postgres: EmbeddedPostgres, cast: Cast): Promise<string> {
  await migrate(postgres.adminUrl);
  await withClient(postgres.adminUrl, async (client) => {
    await client.query('CREATE TABLE plain_events (id text PRIMARY KEY, event text NOT NULL)');
    await client.query('GRANT INSERT ON plain_events TO latchkey_app');
    await client.query(
      `INSERT INTO persons (id, issuer, subject, claims_at)
       SELECT id, 'https://login.example', id, now() FROM unnest($1::text[]) AS of (id)`,
      [[...cast.engineers, ...cast.leads]],
    );
  });
  return postgresVersion(postgres.adminUrl);
}
