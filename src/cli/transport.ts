import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from './failure.ts';
import { problemFailure } from './problem.ts';

/** One call of the broker's API. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Path and query under the broker's address. */
  readonly path: string;
  readonly body?: unknown;
  /** Headers made afresh for each attempt, as a proof that is good once must be. */
  readonly headersFor?: (url: string) => Promise<Record<string, string>>;
  /** Seconds that the answer may take beyond the usual, for long polls. */
  readonly patience?: number;
}

export interface TransportOptions {
  readonly url: string;
  /** Null for the routes that need none. */
  readonly token: string | null;
  readonly signal: AbortSignal;
  readonly now: () => number;
  /** Milliseconds before each further attempt after a failure of the network. */
  readonly retryDelays?: readonly number[];
}

export interface Transport {
  readonly url: string;
  /** The parsed answer. @throws Failure for a problem document, a broken answer, an unreachable broker, Ctrl-C. */
  call(call: Call): Promise<unknown>;
  /** Milliseconds by which the broker's clock is ahead of ours, as last seen; 0 when it hardly is. */
  clockOffset(): number;
}

const usualSeconds = 30;
const longestWait = 10;

/**
 * Calls with a time-out, no redirects (a token goes nowhere else), and further attempts after a failure of the
 * network or a 429 or 503 that says when to come back. Each POST carries one `Idempotency-Key` for all its attempts,
 * so that none of them does a thing twice; with `headersFor` each has its own, since its answer is not kept.
 */
export function openTransport({ url, token, signal, now, retryDelays = [200, 800] }: TransportOptions): Transport {
  let offset = 0;

  async function attempt(call: Call, idempotencyKey: string): Promise<Response> {
    const address = url + call.path;
    const headers: Record<string, string> = { accept: 'application/json', ...(await call.headersFor?.(address)) };
    if (token !== null) headers['authorization'] = `Bearer ${token}`;
    if (call.body !== undefined) headers['content-type'] = 'application/json';
    if (call.method === 'POST') headers['idempotency-key'] = call.headersFor ? randomUUID() : idempotencyKey;
    const timeout = AbortSignal.timeout((usualSeconds + (call.patience ?? 0)) * 1000);
    const response = await fetch(address, {
      method: call.method,
      headers,
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
      ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
    });
    const date = Date.parse(response.headers.get('date') ?? '');
    // The header has whole seconds and has travelled: less than that says nothing about the clocks.
    if (!Number.isNaN(date)) offset = Math.abs(date - now()) > 3000 ? date - now() : 0;
    return response;
  }

  return {
    url,
    clockOffset: () => offset,
    async call(call) {
      const idempotencyKey = randomUUID();
      for (let tries = 0; ; tries++) {
        const delay = retryDelays[tries];
        try {
          const response = await attempt(call, idempotencyKey);
          const wait = secondsToWait(response);
          if (wait === null || delay === undefined) return await readAnswer(response, url);
          await response.body?.cancel();
          await sleep(wait * 1000, undefined, { signal });
        } catch (cause) {
          if (cause instanceof Failure) throw cause;
          if (signal.aborted) throw interrupted();
          if (delay === undefined) throw unreachable(url, cause);
          await sleep(delay, undefined, { signal }).catch(() => {
            throw interrupted();
          });
        }
      }
    },
  };
}

/** What Ctrl-C makes of a command that was in the middle of something. */
export function interrupted(): Failure {
  return new Failure('failed', 'interrupted');
}

function secondsToWait(response: Response): number | null {
  if (response.status !== 429 && response.status !== 503) return null;
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return seconds >= 0 && seconds <= longestWait ? seconds : null;
}

async function readAnswer(response: Response, url: string): Promise<unknown> {
  const text = await response.text();
  const body = parse(text);
  if (response.status >= 200 && response.status < 300) {
    if (text === '') return null;
    if (body !== undefined) return body;
  }
  if (response.status >= 400) throw problemFailure(response.status, body, url);
  throw new Failure('unreachable', `\`${url}\` does not answer as a broker does (status ${response.status})`, {
    hint: 'check the address; it is the one `latchkey login` was given, or `LATCHKEY_URL`',
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function unreachable(url: string, cause: unknown): Failure {
  return new Failure('unreachable', `the broker at \`${url}\` cannot be reached: ${networkWords(cause)}`, {
    hint: 'check the address and the network; nothing is lost by trying again',
    cause,
  });
}

/** A failure of the network in words, by its code where there is one. */
export function networkWords(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  if (!(inner instanceof Error)) return 'the connection failed';
  if (inner.name === 'TimeoutError') return 'it did not answer in time';
  const code = (inner as NodeJS.ErrnoException).code;
  const words: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there',
    ECONNRESET: 'the connection was cut',
    ENOTFOUND: 'there is no such host',
    EAI_AGAIN: 'its name cannot be resolved just now',
    ETIMEDOUT: 'it did not answer in time',
    UND_ERR_SOCKET: 'the connection was cut',
    UND_ERR_CONNECT_TIMEOUT: 'it did not answer in time',
  };
  return (code && words[code]) ?? (inner.message || 'the connection failed');
}
