import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BrokerContext } from './broker/context.ts';
import { createLiveLists, type LiveLists } from './broker/live-lists.ts';
import { startKeyKeeper } from './broker/keep-keys.ts';
import { ledgerSigner } from './broker/ledger-signer.ts';
import { learnKeys } from './broker/rotate-keys.ts';
import { createPeople } from './broker/people.ts';
import { openPolicies, recordBundle, type Policies } from './broker/policies.ts';
import { openHighWater, type HighWater } from './broker/high-water.ts';
import { openLedger } from './broker/ledger.ts';
import { openWitnesses } from './broker/witnesses.ts';
import { createRequestWatch } from './broker/request-watch.ts';
import { openSharedClock } from './broker/shared-clock.ts';
import { startSweeper, type Sweeper } from './broker/sweeper.ts';
import type { Config } from './config.ts';
import { openDeviceSecrets } from './credentials/device-secrets.ts';
import { keyNames, loadKeys, type BrokerKeys } from './credentials/keys.ts';
import { loadSealer, type Sealer } from './credentials/seal.ts';
import { openVault, patiently } from './credentials/open-vault.ts';
import type { Vault } from './credentials/vault.ts';
import { createApp } from './http/app.ts';
import type { HttpContext, RequestLog } from './http/context.ts';
import { answerNotReady, createHttpServer } from './http/server.ts';
import { createIdentityVerifier } from './http/identity/identity-verifier.ts';
import { parseVkey } from './ledger/vkey.ts';
import type { Metrics } from './metrics.ts';
import { migrate, requireCurrentSchema } from './store/migrate.ts';
import { ensureAuditPartitions } from './store/events.ts';
import { readGauges } from './store/gauges.ts';
import { openPool, type Pool } from './store/pool.ts';
import { createProbe } from './store/probe.ts';

export type ServeLog = BrokerContext['log'] & RequestLog;

/** A broker that runs in this process. */
export interface RunningBroker {
  /** Where it listens, which is its public URL unless something stands before it. */
  readonly url: string;
  /** Where `/metrics` is; null when the configuration names no place. */
  readonly metricsUrl: string | null;
  readonly context: BrokerContext;
  /** Stops taking work, finishes what runs, and lets go of everything, within ten seconds. */
  stop(): Promise<void>;
}

/** While it drains it still answers, so that whoever sends traffic can see that it is to go elsewhere (milliseconds). */
const drainNotice = 300;
const longestDrain = 5_000;
/** How long a start waits for a vault that does not answer (milliseconds). */
const longestWaitForVault = 10_000;

const vaultNews = {
  closed: 'the vault answers again',
  open: 'the vault does not answer: what is loaded goes on, what needs it waits',
  'half-open': 'the vault is tried again',
} as const;

/**
 * Starts a broker: listens at once (503 until ready), then opens database, vault and policies.
 * @throws when anything it stands on is missing or broken; then nothing is left running.
 */
export async function startBroker(config: Config, log: ServeLog): Promise<RunningBroker> {
  const undo: (() => Promise<void> | void)[] = [];
  const unwind = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step();
  };
  try {
    return await start(config, log, undo, unwind);
  } catch (error) {
    await unwind();
    throw error;
  }
}

async function start(
  config: Config,
  log: ServeLog,
  undo: (() => Promise<void> | void)[],
  unwind: () => Promise<void>,
): Promise<RunningBroker> {
  let ready = false;
  let missing = 'database';
  let answer: RequestListener = (request, response) => answerNotReady(request, response, missing);
  const server = createHttpServer((request, response) => answer(request, response), config.timeouts);
  const url = await listen(server, config);
  undo.push(() => close(server));

  const pool = await openDatabase(config, log, undo);
  missing = 'vault';
  const vault = await openVault(config.secrets, ({ circuit, awaySince }) =>
    log[circuit === 'closed' ? 'info' : 'warn']({ circuit, awaySince }, vaultNews[circuit]),
  );
  undo.push(() => vault.close());
  const clock = await openSharedClock(pool);
  const { origin } = config.ledger;
  const { keys, sealer, highWater } = await patiently(
    () => readVault({ vault, config, pool, log, now: clock.now }),
    longestWaitForVault,
    (reason) => log.warn({ error: reason }, 'waiting for the vault'),
  );
  // INVARIANT: before anything is signed. What the vault has counts for the ledger only once it is known to be proved.
  await learnKeys({ pool, keys });
  missing = 'policies';
  const policies = await openPolicies(config.policies, log);
  undo.push(() => policies.close());

  missing = 'ledger';
  const signer = ledgerSigner(origin, keys.ledger);
  const witnesses = openWitnesses({ ...witnessesOf(config), pool, signer, highWater, log });
  undo.push(() => witnesses.close());
  await witnesses.ask();
  const ledger = openLedger({ pool, signer, highWater, witnesses, log });
  undo.push(() => ledger.close());

  const requestWatch = createRequestWatch();
  const late: { liveLists?: LiveLists; sweeper?: Sweeper } = {};
  const broker: BrokerContext = {
    pool,
    region: config.region,
    issuer: config.publicUrl,
    recoveryKey: config.ledger.recoveryKey ?? null,
    keys,
    sealer,
    secrets: openDeviceSecrets(vault),
    policy: policies.current,
    ledger,
    hints: {
      requestChanged: (id) => requestWatch.changed(id),
      devicesChanged: (devices) => late.liveLists?.changed(devices),
      due: (at) => late.sweeper?.due(at),
    },
    log,
  };
  await ensureAuditPartitions(pool);
  // Witnesses are told of a successor by hand: one that came by itself would stop them, and with them credentials.
  const byAge = keyNames.filter((name) => name !== 'ledger' || config.ledger.witnesses.length === 0);
  const keeper = await startKeyKeeper({ context: { ...broker, vault, origin }, clock, rotation: config.keys, byAge });
  undo.push(() => keeper.close());
  await policies.onLoad((bundle) => recordBundle(broker, bundle));
  const liveLists = (late.liveLists = createLiveLists(broker));
  undo.push(() => liveLists.close());
  const sweeper = (late.sweeper = startSweeper(broker));
  undo.push(() => sweeper.close());

  const metrics = await openMetrics(config, { broker, vault, liveLists, ready: () => ready });
  undo.push(() => metrics?.close());
  const answered = metrics?.answered ?? (() => {});
  answer = createApp(httpContext(config, broker, vault, policies, liveLists, requestWatch, () => ready, log, answered));
  ready = true;
  return {
    url,
    metricsUrl: metrics?.url ?? null,
    context: broker,
    async stop() {
      ready = false;
      requestWatch.close();
      await new Promise((resolve) => setTimeout(resolve, drainNotice));
      await liveLists.drain();
      await unwind();
    },
  };
}

/** All that a broker needs of the vault before it can begin. */
async function readVault(from: {
  readonly vault: Vault;
  readonly config: Config;
  readonly pool: Pool;
  readonly log: ServeLog;
  readonly now: () => number;
}): Promise<{ keys: BrokerKeys; sealer: Sealer; highWater: HighWater }> {
  const { vault, config, pool, log, now } = from;
  const [keys, sealer] = await Promise.all([
    loadKeys(vault, config.ledger.origin, { times: config.keys.times, now }),
    loadSealer(vault),
  ]);
  const warn = (message: string): void => log.warn({ error: message }, 'the mark was not written');
  return { keys, sealer, highWater: await openHighWater({ vault, runner: pool, warn }) };
}

function witnessesOf({
  ledger: { witnesses, witnessesNeeded },
}: Config): Pick<Parameters<typeof openWitnesses>[0], 'witnesses' | 'needed'> {
  return { witnesses: witnesses.map(({ url, key }) => ({ url, key: parseVkey(key) })), needed: witnessesNeeded };
}

function httpContext(
  config: Config,
  broker: BrokerContext,
  vault: Vault,
  policies: Policies,
  liveLists: LiveLists,
  requestWatch: HttpContext['requestWatch'],
  ready: () => boolean,
  log: ServeLog,
  answered: HttpContext['answered'],
): HttpContext {
  return {
    broker,
    policies,
    liveLists,
    requestWatch,
    people: createPeople(broker),
    identity: createIdentityVerifier(config.identityProviders, { now: Date.now, log }),
    identityProviders: config.identityProviders,
    rateLimits: config.rateLimits,
    trustedProxies: config.trustedProxies,
    bodyTimeout: config.timeouts.body,
    ready,
    vaultHealth: () => vault.health(),
    databaseAnswers: createProbe(broker.pool),
    log,
    answered,
  };
}

async function openMetrics(
  { metrics }: Config,
  of: {
    readonly broker: BrokerContext;
    readonly vault: Vault;
    readonly liveLists: LiveLists;
    readonly ready: () => boolean;
  },
): Promise<Metrics | null> {
  if (!metrics) return null;
  const { broker, vault, liveLists, ready } = of;
  const { pool } = broker;
  // Loaded only where it is used: nobody else has the memory of it.
  const { startMetrics } = await import('./metrics.ts');
  return startMetrics(metrics, {
    ready,
    vault: () => vault.health(),
    ledgerBehind: () => broker.ledger.behind(),
    streams: () => liveLists.connected,
    connections: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    gauges: () => readGauges(pool),
  });
}

async function openDatabase(config: Config, log: ServeLog, undo: (() => Promise<void> | void)[]): Promise<Pool> {
  let url: string;
  if ('embedded' in config.database) {
    // Loaded only where it is used: a broker on a managed database carries none of it.
    const { startEmbeddedPostgres } = await import('./development/embedded-postgres.ts');
    const postgres = await startEmbeddedPostgres({
      directory: config.database.embedded,
      log: (message) => log.info({}, message),
    });
    undo.push(() => postgres.stop());
    await migrate(postgres.adminUrl);
    url = postgres.appUrl;
  } else {
    url = config.database.url;
  }
  const size = 'poolSize' in config.database ? config.database.poolSize : undefined;
  const pool = openPool({
    url,
    ...(size !== undefined && { size }),
    onIdleError: (error) => log.warn({ error: error.message }, 'a database connection was lost'),
  });
  undo.push(() => pool.end());
  await requireCurrentSchema(pool);
  return pool;
}

function listen(server: Server, config: Config): Promise<string> {
  const { host, port } = config.listen;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 4_096 }, () => {
      server.off('error', reject);
      const address = server.address() as AddressInfo;
      const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
      resolve(`http://${name}:${address.port}`);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), longestDrain);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}
