import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerError, fetchText, isUnenrolled, openBroker, readBounded, refusedBy } from './broker-calls.ts';
import { machineClocks, mark, type Clocks, type Mark } from './elapsed.ts';
import type { LiveGrants } from './live-grants.ts';
import { isWorthPolling, pauseAfter, type Loss } from './reconnect.ts';
import type { SignIn } from './sign-in.ts';
import { readServerSentEvents } from './server-sent-events.ts';

export interface WatchOptions {
  readonly issuer: string;
  readonly signIn: SignIn;
  readonly liveGrants: LiveGrants;
  /** Told of connections made and lost; never of tokens. */
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
  readonly clocks?: Clocks;
  /** Called once the broker has said that the device is taken out; it is not asked again. */
  readonly onUnenrolled?: () => void;
}

export interface Watch {
  /** Resolves when the first list was accepted; rejects when `stop` came before, or the device is no longer enrolled. */
  readonly ready: Promise<void>;
  /** Closes the connection; the last list stays in force until it runs out. */
  stop(): Promise<void>;
}

/** Three heartbeats of 15 s missed: the connection is dead, whatever TCP believes. */
const silenceMs = 45_000;
/**
 * A broker that is well sends the first list with the connection. One to which a whole fleet comes back takes longer,
 * and would take longer still if all gave up and asked again.
 */
const firstListMs = 12_000;
const maxEventLength = 1_048_576;

/**
 * Keeps the live grants up to date over one connection to `GET /v1/agent/stream` (contract §8), made again after a
 * random pause when it is lost, which grows and keeps to what the broker asks for. Where something answers but no
 * stream gets through, the list is asked for by `GET /v1/agent/live-grants`, so that a proxy without streams still keeps
 * the door open.
 * Trusts nothing it receives: what the statement must hold is `LiveGrants.accept`'s to require.
 */
export function watchLiveGrants(options: WatchOptions): Watch {
  const { issuer, signIn, liveGrants, log = () => undefined, clocks = machineClocks, onUnenrolled } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const first = Promise.withResolvers<void>();
  first.promise.catch(() => undefined);
  let failures = 0;

  async function accept(statement: string, asked: Mark | null): Promise<void> {
    await liveGrants.accept(statement, asked);
    first.resolve();
  }

  /** Follows the stream until it is lost; never throws, but says how it ended. */
  async function follow(): Promise<Loss & { readonly why: string; readonly isUnenrolled: boolean }> {
    const silence = new AbortController();
    const hush = () => silence.abort();
    let timer: NodeJS.Timeout | undefined;
    const call = { signal: AbortSignal.any([signal, silence.signal]) };
    let asked: Mark | null = null;
    let [open, heard] = [false, false];
    let comeBack: number | null = null;
    try {
      const response = await withToken(signIn, (bearer) => {
        asked = mark(clocks);
        clearTimeout(timer);
        timer = setTimeout(hush, firstListMs);
        return openStream(`${issuer}/v1/agent/stream`, { bearer, ...call });
      });
      open = true;
      const events = readServerSentEvents(response.body!, maxEventLength, (within) => (comeBack = within));
      for await (const { event, data } of events) {
        if (heard) timer?.refresh();
        if (event !== 'live-grants') continue;
        // Only the first list of a connection answers something that was asked at a known moment.
        await accept(data, asked);
        asked = null;
        if (heard) continue;
        heard = true;
        failures = 0;
        clearTimeout(timer);
        timer = setTimeout(hush, silenceMs);
        log('the stream of live grants is open');
      }
      return { heard, status: null, open, comeBack, why: 'it has ended', isUnenrolled: false };
    } catch (error) {
      const { status, retryAfter } = error instanceof BrokerError ? error : { status: null, retryAfter: null };
      return {
        heard,
        status,
        open,
        comeBack: comeBack ?? retryAfter,
        why: wordsOf(error),
        isUnenrolled: isUnenrolled(error),
      };
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
      const loss = await follow();
      if (signal.aborted) break;
      if (!loss.heard) failures += 1;
      log('the stream of live grants is lost', { why: loss.why });
      if (loss.isUnenrolled) {
        first.reject(new BrokerError(loss.why, 401));
        onUnenrolled?.();
        return;
      }
      if (isWorthPolling(loss, failures)) {
        await poll().catch((error: unknown) => log('the list cannot be had either', { why: wordsOf(error) }));
      }
      await sleep(pauseAfter(loss, failures), undefined, { signal }).catch(() => undefined);
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

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown';
}
