import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { VaultHealth } from './credentials/vault.ts';
import type { AnsweredCall } from './http/context.ts';
import type { Gauges } from './store/gauges.ts';

/** Where the figures come from; each is asked when somebody asks for them. */
export interface Sources {
  readonly ready: () => boolean;
  readonly vault: () => VaultHealth;
  /** True while the database is behind what the ledger has signed, and nothing is signed. */
  readonly ledgerBehind: () => boolean;
  readonly streams: () => number;
  readonly connections: () => { readonly total: number; readonly idle: number; readonly waiting: number };
  /** @throws when the database does not answer. */
  readonly gauges: () => Promise<Gauges>;
}

export interface Metrics {
  /** Where `/metrics` is, without a path. */
  readonly url: string;
  readonly answered: (call: AnsweredCall) => void;
  close(): Promise<void>;
}

/** In seconds; the bars of the product lie at 25 and 100 ms. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const circuits = ['closed', 'open', 'half-open'] as const satisfies VaultHealth['circuit'][];
/** These last as long as they are held. */
const streams = new Set(['/v1/agent/stream']);
/** Whoever asks more often is told what was counted before (milliseconds). */
const countEvery = 5_000;

/**
 * Tells this process's figures in Prometheus's text form at `GET /metrics`, on an address of its own: whoever reaches it
 * may read them. They hold routes and numbers, and nothing of anybody.
 * @throws when the address cannot be had.
 */
export async function startMetrics(listen: { host: string; port: number }, sources: Sources): Promise<Metrics> {
  const registry = new Registry();
  const calls = countCalls(registry);
  showProcess(registry, sources);
  showDatabase(registry, sources);
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
    void answer(registry, request, response);
  });
  server.maxConnections = 32;
  const url = await listenOn(server, listen);
  return {
    url,
    answered: calls,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(registry: Registry, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = '', url = '' } = request;
  const isHere = url.split('?')[0] === '/metrics';
  if (!isHere || (method !== 'GET' && method !== 'HEAD')) {
    response.writeHead(isHere ? 405 : 404, isHere ? { Allow: 'GET, HEAD' } : {}).end();
    return;
  }
  try {
    const text = await registry.metrics();
    response.writeHead(200, { 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' }).end(text);
  } catch {
    response.writeHead(500).end();
  }
}

function countCalls(registry: Registry): (call: AnsweredCall) => void {
  const registers = [registry];
  const answered = new Counter({
    name: 'latchkey_http_calls_total',
    help: 'calls that were answered, or whose caller was gone',
    labelNames: ['method', 'route', 'status'],
    registers,
  });
  const seconds = new Histogram({
    name: 'latchkey_http_call_seconds',
    help: 'how long calls took; streams are left out, and calls with `wait` take as long as they wait',
    labelNames: ['method', 'route'],
    buckets,
    registers,
  });
  return ({ method, route, status, ms }) => {
    const where = { method, route: route ?? 'none' };
    answered.inc({ ...where, status });
    if (!streams.has(where.route)) seconds.observe(where, ms / 1_000);
  };
}

function showProcess(registry: Registry, sources: Sources): void {
  collectDefaultMetrics({ register: registry });
  const show = gaugesOf(registry);
  show('latchkey_ready', 'whether this broker takes traffic', () => Number(sources.ready()));
  show('latchkey_streams', 'devices that are connected to this broker', sources.streams);
  show('latchkey_ledger_behind', 'whether the database has lost what was signed', () => Number(sources.ledgerBehind()));
  show('latchkey_vault_away_seconds', 'for how long the vault has not answered', () => {
    const { awaySince } = sources.vault();
    return awaySince ? (Date.now() - awaySince.getTime()) / 1_000 : 0;
  });
  registry.registerMetric(
    new Gauge({
      name: 'latchkey_vault_circuit',
      help: 'the state of the circuit breaker before the vault: 1 for the one that it is in',
      labelNames: ['state'],
      registers: [],
      collect() {
        const { circuit } = sources.vault();
        for (const state of circuits) this.set({ state }, Number(state === circuit));
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'latchkey_database_connections',
      help: 'connections of the pool, and calls that wait for one',
      labelNames: ['state'],
      registers: [],
      collect() {
        for (const [state, count] of Object.entries(sources.connections())) this.set({ state }, count);
      },
    }),
  );
}

const counted = {
  grantsLive: ['latchkey_grants_live', 'grants in force, of the whole region'],
  sessionsOpen: ['latchkey_sessions_open', 'sessions that their devices have not called ended, of the whole region'],
  alarmsOpen: ['latchkey_alarms_open', 'alarms that are open, of the whole region'],
  ledgerSize: ['latchkey_ledger_size', 'entries of the signed ledger'],
  waiting: ['latchkey_ledger_waiting', 'events that have no position in the ledger yet, counted up to 60,000'],
  waitingFor: ['latchkey_ledger_lag_seconds', 'how long the first event without a position has waited'],
} as const satisfies Record<keyof Gauges, readonly [name: string, help: string]>;

/** What all brokers of a region share. While the database does not answer, there is none of it. */
function showDatabase(registry: Registry, sources: Sources): void {
  const read = nowAndThen(sources.gauges);
  gaugesOf(registry)('latchkey_database_up', 'whether the database answers', async () =>
    Number((await read()) !== null),
  );
  for (const [name, [metric, help]] of Object.entries(counted)) {
    registry.registerMetric(
      new Gauge({
        name: metric,
        help,
        registers: [],
        async collect() {
          const gauges = await read();
          if (gauges) this.set(gauges[name as keyof Gauges]);
          else this.remove();
        },
      }),
    );
  }
}

function gaugesOf(registry: Registry) {
  return (name: string, help: string, value: () => number | Promise<number>): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        async collect() {
          this.set(await value());
        },
      }),
    );
  };
}

/** One look for all who ask within a while, so that nobody keeps the database busy by asking; null when it fails. */
function nowAndThen<T>(look: () => Promise<T>): () => Promise<T | null> {
  let last: Promise<T | null> | null = null;
  let lookedAt = -Infinity;
  return () => {
    if (last === null || performance.now() - lookedAt > countEvery) {
      lookedAt = performance.now();
      last = look().catch(() => null);
    }
    return last;
  };
}

function listenOn(server: Server, { host, port }: { host: string; port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      const { address, family, port: taken } = server.address() as AddressInfo;
      resolve(`http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`);
    });
  });
}
