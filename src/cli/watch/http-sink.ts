import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../failure.ts';
import { networkWords } from '../transport.ts';
import type { Sink } from './sinks.ts';

export const bodies = ['lines', 'array'] as const;
export type Body = (typeof bodies)[number];

export interface HttpSinkOptions {
  readonly url: URL;
  /** The `Authorization` header; null for a sink that asks for none. */
  readonly authorization: string | null;
  /** `lines` is JSON Lines (application/x-ndjson), `array` a JSON array. */
  readonly body: Body;
  /** How often a batch is sent before it is given up. */
  readonly tries: number;
  /** Ends the waiting between tries; a request under way is let finish, so that its answer counts. */
  readonly signal: AbortSignal;
  /** Told once when the sink stops taking batches. */
  readonly troubled: (why: string) => void;
  /** Milliseconds before the second try; each further wait is twice as long. */
  readonly firstPause?: number;
}

const timeoutMs = 30_000;
const longestPause = 30_000;
const longestRetryAfter = 300;
/** What most collectors take at once (bytes). */
const largestBody = 1_000_000;

/**
 * A collector that takes batches by POST. One that does not answer, or answers that it cannot just now (408, 425, 429,
 * 5xx), is asked again, ever more slowly; one that finds a batch too large (413) is sent half of it. Redirects are not
 * followed: what leaves goes to the host that was named, and to no other.
 */
export function httpSink(options: HttpSinkOptions): Sink {
  const { url, authorization, body, tries, signal, troubled, firstPause = 500 } = options;
  const headers = {
    'content-type': body === 'lines' ? 'application/x-ndjson' : 'application/json',
    ...(authorization !== null && { authorization }),
  };
  let isTroubled = false;

  async function post(lines: readonly string[]): Promise<Response> {
    const text = body === 'lines' ? `${lines.join('\n')}\n` : `[${lines.join(',')}]`;
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: text,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    await response.body?.cancel();
    return response;
  }

  async function takeTurn(lines: readonly string[]): Promise<number | { why: string; retryAfter: number | null }> {
    let batch = lines;
    for (;;) {
      let response: Response;
      try {
        response = await post(batch);
      } catch (error) {
        return { why: networkWords(error), retryAfter: null };
      }
      const { status } = response;
      if (status >= 200 && status < 300) return batch.length;
      const why = `it answers ${status}`;
      if (status === 413 && batch.length > 1) batch = batch.slice(0, Math.ceil(batch.length / 2));
      else if (mayPass(status)) return { why, retryAfter: retryAfterOf(response) };
      else throw refused(url, status);
    }
  }

  return {
    place: async () => null,
    async write(lines) {
      const batch = fitting(lines);
      for (let attempt = 1; ; attempt++) {
        const outcome = await takeTurn(batch);
        if (typeof outcome === 'number') {
          isTroubled = false;
          return outcome;
        }
        if (attempt >= tries || signal.aborted) {
          throw new Failure('unreachable', `the sink \`${url.origin}\` takes nothing: ${outcome.why}`, {
            hint: 'nothing is lost: run it again with the same `--state`',
          });
        }
        if (!isTroubled) troubled(`the sink \`${url.origin}\` takes nothing: ${outcome.why}; trying again`);
        isTroubled = true;
        const growing =
          Math.min(longestPause, firstPause * 2 ** Math.min(attempt - 1, 10)) * (0.75 + Math.random() / 2);
        const pause = Math.max(growing, (outcome.retryAfter ?? 0) * 1000);
        await sleep(pause, undefined, { signal }).catch(() => undefined);
      }
    },
  };
}

/** As many lines as a collector takes at once, and one at least. */
function fitting(lines: readonly string[]): readonly string[] {
  let bytes = 0;
  const end = lines.findIndex((line) => (bytes += Buffer.byteLength(line) + 1) > largestBody);
  return end === -1 ? lines : lines.slice(0, Math.max(1, end));
}

function mayPass(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

function retryAfterOf(response: Response): number | null {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return seconds >= 0 ? Math.min(seconds, longestRetryAfter) : null;
}

function refused(url: URL, status: number): Failure {
  if (status >= 300 && status < 400) {
    return new Failure('failed', `the sink \`${url.origin}\` sends us elsewhere (${status}), which is not followed`, {
      hint: 'name the address that takes the batches',
    });
  }
  const hint =
    status === 401 || status === 403 ? 'set `LATCHKEY_SINK_AUTHORIZATION` to the header it asks for' : undefined;
  return new Failure('failed', `the sink \`${url.origin}\` refuses the batch (${status})`, { hint });
}
