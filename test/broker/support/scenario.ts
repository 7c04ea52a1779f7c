import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  newTestBroker,
  type CallOptions,
  type Reply,
  type TestBroker,
  type TestBrokerOptions,
  type Who,
} from '../../support/broker.ts';
import { newEngineerKey, type EngineerKey } from '../../support/engineer.ts';

/**
 * Runs a file's scenarios against one broker and against two on one database, called in turn. After all of them the
 * ledger must hold what they did.
 */
export function scenarios(
  define: (broker: () => TestBroker) => void,
  options: TestBrokerOptions & {
    /** Scenarios that mostly wait do so side by side. */ readonly concurrency?: boolean;
  } = {},
): void {
  const { concurrency = false } = options;
  for (const brokers of [1, 2]) {
    describe(brokers === 1 ? 'one broker' : 'two brokers on one database', { concurrency }, () => {
      let broker: TestBroker;
      before(async () => {
        broker = await newTestBroker({ ...options, brokers });
      });
      after(async () => {
        try {
          await broker.checkLedger();
        } finally {
          await broker.stop();
        }
      });
      define(() => broker);
    });
  }
}

/** Asserts a refusal: its status, that it is a problem document of that code, and where it says the mistake is. */
export function refused(reply: Reply, status: number, pointer?: string): void {
  assert.equal(reply.status, status, JSON.stringify(reply.body));
  assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.equal(reply.body.status, status);
  const codes: Record<number, string> = {
    400: 'invalid-request',
    401: 'unauthenticated',
    403: 'not-permitted',
    404: 'not-found',
    409: 'conflict',
  };
  assert.equal(reply.body.type, `urn:latchkey:problem:${codes[status]}`);
  if (pointer !== undefined) {
    const pointers = reply.body.errors?.map((error: { pointer: string }) => error.pointer);
    assert.ok(pointers?.includes(pointer), `not at ${pointer}: ${JSON.stringify(reply.body)}`);
  }
}

/** The ids of the policies that a 403 names. */
export function reasonsOf(reply: Reply): string[] {
  refused(reply, 403);
  for (const { policy, message } of reply.body.reasons) assert.ok(policy && message);
  return reply.body.reasons.map((reason: { policy: string }) => reason.policy);
}

export async function ok(reply: Promise<Reply>, status = 200): Promise<Reply['body']> {
  const { status: got, body } = await reply;
  assert.equal(got, status, JSON.stringify(body));
  return body;
}

export function decide(
  broker: TestBroker,
  who: Who,
  request: { readonly id: string },
  say: object = {},
  options?: CallOptions,
): Promise<Reply> {
  return broker.call(who, 'POST', `/v1/requests/${request.id}/decisions`, { verdict: 'approve', ...say }, options);
}

export interface Minting extends CallOptions {
  readonly key?: EngineerKey;
  readonly device?: string;
  /** The text of the proof header, when it is not to be a good fresh one. */
  readonly proof?: string;
}

interface Mintable {
  readonly id: string;
  readonly devices: readonly string[];
}

export async function mint(broker: TestBroker, who: Who, grant: Mintable, minting: Minting = {}): Promise<Reply> {
  const { key = await newEngineerKey(), device = grant.devices[0], proof, headers, ...options } = minting;
  const path = `/v1/grants/${grant.id}/credentials`;
  const dpop = proof ?? (await key.proof('POST', broker.config.publicUrl + path));
  return broker.call(who, 'POST', path, { device }, { ...options, headers: { dpop, ...headers } });
}

export const sleep = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

/** Looks again until what is looked for is there. */
export async function eventually<T>(look: () => Promise<T | null | undefined | false>, within = 15_000): Promise<T> {
  const deadline = performance.now() + within;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`not within ${within} ms`);
    await sleep(15);
  }
}

/** How many rows each table holds, to see that a call left nothing behind. */
export async function tableCounts(broker: TestBroker): Promise<Record<string, number>> {
  const { rows } = await broker.sql.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'audit_events_%' AND table_name NOT LIKE 'ledger_%'`,
  );
  const counts = await Promise.all(
    rows.map(async ({ name }) => {
      const { rows } = await broker.sql.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${name}`);
      return [name, rows[0]!.count] as const;
    }),
  );
  return Object.fromEntries(counts);
}

type Profile = Record<string, unknown> & { name: string };

/** A copy of the shipped policies in a folder of its own, with profiles changed or added, for tests that change them. */
export async function policiesCopy(
  profiles: Record<string, (shipped: (name: string) => Promise<Profile>) => Promise<Profile>> = {},
): Promise<{ readonly directory: string; remove(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-policies-'));
  const shippedPolicies = fileURLToPath(new URL('../../../policies', import.meta.url));
  await cp(shippedPolicies, directory, { recursive: true });
  const shipped = async (name: string): Promise<Profile> =>
    JSON.parse(await readFile(join(shippedPolicies, 'profiles', `${name}.json`), 'utf8')) as Profile;
  for (const [name, make] of Object.entries(profiles)) {
    await writeFile(join(directory, 'profiles', `${name}.json`), JSON.stringify({ ...(await make(shipped)), name }));
  }
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) };
}

/** Keeps the sweep away from a row for as long as `work` takes, so that only the clock can tell its state. */
export async function unswept<T>(
  broker: TestBroker,
  table: 'grants' | 'requests',
  id: string,
  work: () => Promise<T>,
): Promise<T> {
  const client = await broker.sql.connect();
  try {
    await client.query('BEGIN');
    await client.query(`SELECT 1 FROM ${table} WHERE id = $1 FOR NO KEY UPDATE`, [id]);
    return await work();
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}
