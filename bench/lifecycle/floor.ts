import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { parseConfig } from '../../src/config.ts';
import type { Ledger } from '../../src/broker/ledger.ts';
import type { EventId } from '../../src/domain/ids.ts';
import { startBroker, type ServeLog } from '../../src/serve.ts';
import { openPool } from '../../src/store/pool.ts';
import { bareSignature, signBare, verifyBare, type BareSignature } from '../signatures.ts';
import { openConnection } from './connection.ts';
import { arriveAtRandom, noLatencies, pause, type Latencies } from './load.ts';
import {
  journeysOf,
  mentions,
  namesOf,
  recordTransactions,
  refresh,
  type Statement,
  type Transaction,
} from './recording.ts';
import { createSteps, pick, type Lifecycle } from './steps.ts';
import type { World } from './world.ts';
import { newEngineerKey } from '../../test/support/engineer.ts';
import type { BrokerConfig } from './broker-process.ts';

/**
 * The floor that a broker stands on: a process that does, for each lifecycle, the SQL statements that a broker sends
 * for one, in the same transactions over as many connections, as many of them together, and the same signatures; no
 * HTTP, no policy, no checks. What it repeats is recorded from a real broker in this process at each start, so it
 * cannot drift from the product. What that broker's sequencer does for many lifecycles at once cannot be repeated for
 * one: it goes on doing it, and the floor waits for its receipts.
 */
export type FloorOrder =
  { readonly seconds: number; readonly concurrency: number } | { readonly seconds: number; readonly perSecond: number };

export interface FloorStart {
  readonly config: BrokerConfig;
  readonly databaseUrl: string;
  readonly world: World;
  readonly keyIds: readonly string[];
}

/**
 * What the process answers: first what it has recorded, then for each order lifecycles a second, or how long each took
 * that began at a random moment.
 */
export type FloorAnswer =
  { readonly recorded: string } | { readonly perSecond: number } | { readonly latencies: Latencies };

interface Recorded {
  readonly of: Lifecycle;
  readonly at: number;
  readonly transactions: readonly Transaction[];
  /** What is signed and verified: the credential and both proofs. */
  readonly signatures: readonly BareSignature[];
  readonly ledger: Ledger;
  stop(): Promise<void>;
}

process.once('message', (start: FloorStart) => void serve(start));

async function serve(start: FloorStart): Promise<void> {
  const recorded = await recordLifecycle(start);
  const pool = openPool({ url: start.databaseUrl });
  const signingKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  process.on('message', (order: FloorOrder) => {
    const { world } = start;
    if ('perSecond' in order) void runOpen(pool, world, recorded, order).then((latencies) => answer({ latencies }));
    else void run(pool, world, recorded, signingKey, order).then((perSecond) => answer({ perSecond }));
  });
  process.once('disconnect', () => void Promise.all([pool.end(), recorded.stop()]));
  answer({ recorded: namesOf(recorded.transactions) });
}

function answer(message: FloorAnswer): void {
  process.send!(message);
}

/** Takes one lifecycle through a broker in this process, the second one: the first makes everybody known to it. */
async function recordLifecycle({ config, databaseUrl, world, keyIds }: FloorStart): Promise<Recorded> {
  const silent: ServeLog = { info: () => {}, warn: () => {}, error: () => {} };
  const listen = { host: '127.0.0.1', port: 0 };
  const broker = await startBroker(parseConfig({ ...config, listen, database: { url: databaseUrl } }), silent);
  const connection = await openConnection(broker.url);
  try {
    const steps = createSteps(config.publicUrl, world, keyIds);
    const [engineer, lead, device] = [world.engineers[0]!, world.leads[0]!, world.devices[0]!];
    let transactions: Transaction[] = [];
    let credential = '';
    let grant = '';
    let of: Lifecycle | null = null;
    for (let time = 0; time < 2; time++) {
      of = { engineer, lead, device, key: await newEngineerKey() };
      const lifecycle = of;
      transactions = await recordTransactions(async () => {
        const request = await steps.ask(connection, lifecycle);
        const granted = await steps.decide(connection, lifecycle, request);
        const minted = await steps.mint(connection, lifecycle, granted);
        credential = minted.credential;
        grant = granted.id;
        await steps.verify(lifecycle, granted, minted);
      });
    }
    // What the broker's sweeper sends by itself concerns nobody.
    const ours = transactions.filter((transaction) => mentions(transaction, new Set([engineer.id, lead.id, grant])));
    return {
      of: of!,
      at: Date.now(),
      transactions: ours,
      signatures: await signaturesOf(of!, credential),
      ledger: broker.context.ledger,
      stop: () => broker.stop(),
    };
  } catch (error) {
    await broker.stop();
    throw error;
  } finally {
    connection.close();
  }
}

/** The credential and both proofs of a lifecycle, each over as many bytes as the product's. */
async function signaturesOf({ key }: Lifecycle, credential: string): Promise<BareSignature[]> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const proofs = [
    await key.proof('POST', 'http://127.0.0.1:7400/v1/grants/grt_00000000000000000000000000/credentials'),
    await key.proof('POST', 'https://127.0.0.1:8443/sessions', { token: credential }),
  ];
  return [credential, ...proofs].map((jws) => bareSignature(jws, privateKey));
}

async function run(
  pool: Pool,
  world: World,
  recorded: Recorded,
  signingKey: KeyObject,
  { seconds, concurrency }: { readonly seconds: number; readonly concurrency: number },
): Promise<number> {
  const until = performance.now() + seconds * 1_000;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < until) {
      await runBare(pool, world, recorded, signingKey);
      if (performance.now() < until) done += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return done / seconds;
}

function sendTogether(client: PoolClient, statements: readonly Statement[]): Promise<unknown> {
  const { stream } = (client as unknown as { readonly connection: { readonly stream: Socket } }).connection;
  stream.cork();
  const sent = statements.map(({ name, text, values }) =>
    client.query({ ...(name !== undefined && { name }), text, values: [...values] }),
  );
  stream.uncork();
  return Promise.all(sent);
}

/** The event of a credential that the transaction has issued, if it has. */
function issuedBy(transaction: Transaction): { readonly event: EventId; readonly bytes: Buffer } | null {
  const appended = transaction.find(({ name }) => name === 'append-events');
  if (!appended) return null;
  const [events, , types, , begins, lengths, leaves] = appended.values as [
    EventId[],
    unknown,
    string[],
    unknown,
    number[],
    number[],
    Buffer,
  ];
  const place = types.indexOf('credential.issued');
  if (place < 0) return null;
  const begin = begins[place]! - 1;
  return { event: events[place]!, bytes: leaves.subarray(begin, begin + lengths[place]!) };
}

async function runBare(pool: Pool, world: World, recorded: Recorded, signingKey: KeyObject): Promise<void> {
  for (const transaction of freshTransactions(world, recorded)) await repeat(pool, transaction, recorded.ledger);
  for (const { signed } of recorded.signatures) signBare(signingKey, signed);
  for (const signature of recorded.signatures) verifyBare(signature);
}

/**
 * The transactions alone, begun at random moments as a broker's calls are: what is left of a call's latency when there
 * is nothing but the database on this machine.
 */
function runOpen(
  pool: Pool,
  world: World,
  recorded: Recorded,
  rate: { readonly seconds: number; readonly perSecond: number },
): Promise<Latencies> {
  return arriveAtRandom(rate, noLatencies, async (began, into) => {
    const steps = freshTransactions(world, recorded).filter(({ length }) => length > 1);
    for (const [place, step] of (['ask', 'decide', 'mint'] as const).entries()) {
      const due = began + place * pause;
      const wait = due - performance.now();
      if (wait > 0) await sleep(wait);
      await repeat(pool, steps[place]!, recorded.ledger);
      into[step].push(performance.now() - due);
    }
  });
}

function freshTransactions(world: World, { of, transactions, at }: Recorded): readonly Transaction[] {
  const instead = new Map<string, string>([
    [of.engineer.id, pick(world.engineers).id],
    [of.lead.id, pick(world.leads).id],
    [of.device, pick(world.devices)],
  ]);
  return refresh(transactions, at, instead);
}

/** Sends what a broker sent, and waits for the receipt of what it issued. */
async function repeat(pool: Pool, transaction: Transaction, ledger: Ledger): Promise<void> {
  const client = await pool.connect();
  try {
    for (const together of journeysOf(transaction)) await sendTogether(client, together);
  } finally {
    client.release();
  }
  const issued = issuedBy(transaction);
  if (transaction.length > 1) ledger.poke();
  if (issued) await ledger.receiptFor(issued.event, issued.bytes);
}
