import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerError, fetchText, openBroker, readBounded, refusedBy } from './broker-calls.ts';
import { machineClocks, mark, type Clocks, type Mark } from './elapsed.ts';
import type { LiveGrants } from './live-grants.ts';
import type { SignIn } from './sign-in.ts';
import { readServerSentEvents } from './server-sent-events.ts';

export interface WatchOptions {
  readonly issuer: string;
  readonly signIn: SignIn;
  readonly liveGrants: LiveGrants;
  /** Told of connections made and lost; never of tokens. */
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
  readonly clocks?: Clocks;
}

export interface Watch {
  /** Resolves when the first list was accepted; rejects when `stop` came before. */
  readonly ready: Promise<void>;
  /** Closes the connection; the last list stays in force until it runs out. */
  stop(): Promise<void>;
}

/** Three heartbeats of 15 s missed: the connection is dead, whatever TCP believes. */
const silenceMs = 45_000;
const longestPauseMs = 10_000;
const maxEventLength = 1_048_576;

/**
 * Keeps the live grants up to date over one connection to `GET /v1/agent/stream` (contract §8), made again with a
 * growing, random pause when it is lost. Each time the stream cannot be had, the list is asked for once by
 * `GET /v1/agent/live-grants`, so that a broker or proxy without streams still keeps the door open.
 * Trusts nothing it receives: what the statement must hold is `LiveGrants.accept`'s to require.
 */
export function watchLiveGrants(options: WatchOptions): Watch {
  const { issuer, signIn, liveGrants, log = () => undefined, clocks = machineClocks } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const first = Promise.withResolvers<void>();
  first.promise.catch(() => undefined);
  let failures = 0;

  async function accept(statement: string, asked: Mark | null): Promise<void> {
    await liveGrants.accept(statement, asked);
    failures = 0;
    first.resolve();
  }

  async function follow(): Promise<void> {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(), silenceMs);
    const call = { signal: AbortSignal.any([signal, silence.signal]) };
    let asked: Mark | null = null;
    try {
      const response = await withToken(signIn, (bearer) => {
        asked = mark(clocks);
        return openStream(`${issuer}/v1/agent/stream`, { bearer, ...call });
      });
      log('the stream of live grants is open');
      for await (const { event, data } of readServerSentEvents(response.body!, maxEventLength)) {
        timer.refresh();
        if (event !== 'live-grants') continue;
        // Only the first list of a connection answers something that was asked at a known moment.
        await accept(data, asked);
        asked = null;
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  async function poll(): Promise<void> {
    let asked: Mark | null = null;
    const answer = await withToken(signIn, (bearer) => {
      asked = mark(clocks);
      return fetchText(`${issuer}/v1/agent/live-grants`, { bearer, maxBytes: maxEventLength, signal });
    });
    await accept(statementIn(answer), asked);
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const lost = await outcome(follow());
      if (signal.aborted) break;
      log('the stream of live grants is lost', { why: lost });
      const missed = await outcome(poll());
      if (missed !== null) failures += 1;
      await sleep(pauseAfter(failures), undefined, { signal }).catch(() => undefined);
    }
  }

  const running = run();
  return {
    ready: first.promise,
    async stop() {
      stopping.abort();
      first.reject(new BrokerError('the agent stopped before it had a list of live grants', null));
      await running;
    },
  };
}

/** Full jitter, so that a fleet that lost its broker does not come back as one. Milliseconds. */
function pauseAfter(failures: number): number {
  return 100 + Math.random() * Math.min(longestPauseMs, 250 * 2 ** Math.min(failures, 10));
}

/** Calls with a token, and once more with a fresh one when the broker does not take it. */
export async function withToken<T>(signIn: SignIn, call: (bearer: string) => Promise<T>): Promise<T> {
  const token = await signIn.token();
  try {
    return await call(token);
  } catch (error) {
    if (!(error instanceof BrokerError) || error.status !== 401) throw error;
    signIn.forget(token);
    return call(await signIn.token());
  }
}

async function openStream(url: string, call: { readonly bearer: string; readonly signal: AbortSignal }) {
  const response = await openBroker(url, call);
  if (!response.ok || !response.body) throw refusedBy(response, await readBounded(response, 65_536));
  return response;
}

/** The list by itself comes as the JWT's text, or as a JSON object that holds it. */
function statementIn(answer: string): string {
  if (!answer.startsWith('{')) return answer.trim();
  const { liveGrants } = JSON.parse(answer) as { readonly liveGrants?: unknown };
  if (typeof liveGrants !== 'string') throw new BrokerError('the answer holds no statement of live grants', null);
  return liveGrants;
}

async function outcome(work: Promise<void>): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : 'unknown';
  }
}
