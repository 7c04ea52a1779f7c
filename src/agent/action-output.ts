import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

/** The answer to an action: one JSON object a line, as it happens. */
export interface ActionOutput {
  /** Resolves once the client has taken enough for more to be written, or is gone. */
  write(stream: 'stdout' | 'stderr', data: string | Uint8Array): Promise<void>;
  /** Writes the last line and closes the connection, also under a client that does not read. */
  finish(line: { readonly exit: number } | { readonly ended: string }): void;
  /** Bytes of output taken so far. */
  bytes(): number;
  /** Aborted when the client goes away before the last line. */
  readonly gone: AbortSignal;
}

/** How long a client that does not read may keep the connection after the last line. */
const lastLineMs = 1_000;
const longestLine = 32_768;

/** Begins an answer of contract §8's `application/x-ndjson` lines. */
export function startOutput(response: ServerResponse): ActionOutput {
  const gone = new AbortController();
  let bytes = 0;
  let isFinished = false;
  response.writeHead(200, {
    'content-type': 'application/x-ndjson',
    'cache-control': 'no-store',
    connection: 'close',
  });
  response.flushHeaders();
  response.on('close', () => gone.abort());
  response.on('error', () => gone.abort());

  async function writeLine(line: unknown): Promise<void> {
    if (isFinished || gone.signal.aborted) return;
    if (response.write(`${JSON.stringify(line)}\n`)) return;
    await once(response, 'drain', { signal: gone.signal }).catch(() => undefined);
  }

  return {
    async write(stream, data) {
      const all = typeof data === 'string' ? Buffer.from(data, 'utf8') : Buffer.from(data);
      bytes += all.length;
      for (let at = 0; at < all.length; at += longestLine) {
        await writeLine({ stream, data: all.subarray(at, at + longestLine).toString('base64') });
      }
    },
    finish(line) {
      if (isFinished) return;
      isFinished = true;
      response.end(`${JSON.stringify(line)}\n`);
      setTimeout(() => response.destroy(), lastLineMs).unref();
    },
    bytes: () => bytes,
    gone: gone.signal,
  };
}
