import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRateLimit } from './rate-limit.ts';
import type { Answer, Witness, WitnessLog } from './witness.ts';

/** A proof of 63 hashes and a note with many signatures fit well. */
const longestBody = 65_536;
/** In milliseconds. */
const bounds = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 8_192,
};
const mostConnections = 256;
/** Calls of one address; a ledger makes some dozens a second at the most. */
const callRate = { perSecond: 200, burst: 400 };
const lookingAt = '/checkpoint/';

/** The witness over HTTP: `POST …/add-checkpoint`, and `GET …/checkpoint/ORIGIN` for whoever wants to look. */
export function createWitnessServer(witness: Witness, log: WitnessLog): Server {
  const admits = createRateLimit(callRate);
  const server = createServer(bounds, (request, response) => {
    answer(witness, request, admits).then(
      (found) => send(response, request, found),
      (error: unknown) => {
        log.error({ error: error instanceof Error ? error.message : String(error) }, 'a call could not be answered');
        send(response, request, { status: 500, body: 'the witness cannot answer this now\n' });
      },
    );
  });
  server.maxConnections = mostConnections;
  server.setTimeout(bounds.keepAliveTimeout);
  return server;
}

async function answer(witness: Witness, request: IncomingMessage, admits: (key: string) => boolean): Promise<Answer> {
  if (!admits(request.socket.remoteAddress ?? '')) return { status: 429, body: 'too many calls: slow down\n' };
  const { method = '', url = '' } = request;
  if (url === '/add-checkpoint') {
    if (method !== 'POST') return { status: 405, body: '`add-checkpoint` is a POST\n' };
    const body = await readBody(request);
    return body ? witness.addCheckpoint(body) : { status: 413, body: `a call has at most ${longestBody} bytes\n` };
  }
  if (url.startsWith(lookingAt) && method === 'GET') {
    const origin = decode(url.slice(lookingAt.length));
    const last = origin === null ? null : witness.last(origin);
    if (last !== null) return { status: 200, body: last };
  }
  return { status: 404, body: 'there is nothing here\n' };
}

/** The body, or null when it is too long; reading stops there. */
async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestBody) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(
  response: ServerResponse,
  request: IncomingMessage,
  { status, body, contentType = 'text/plain; charset=utf-8' }: Answer,
): void {
  if (response.destroyed) return;
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...(status === 429 && { 'Retry-After': '1' }),
    // What was not read would be taken for the next call.
    ...(!request.complete && { Connection: 'close' }),
  });
  response.end(body);
}

function decode(path: string): string | null {
  try {
    return decodeURIComponent(path);
  } catch {
    return null;
  }
}
