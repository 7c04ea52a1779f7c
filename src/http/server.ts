import { randomUUID } from 'node:crypto';
import { createServer, STATUS_CODES, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { LatchkeyError, type ErrorCode } from '../domain/errors.ts';
import { problemOf, statusOf } from './problems.ts';

/** How long a call may take to arrive, in seconds. */
export interface Timeouts {
  readonly headers: number;
  readonly body: number;
}

/** How long a connection may stand still, in milliseconds: longer than the longest `wait`, and than a stream's beat. */
const longestStill = 120_000;
/** How many calls one connection may have waiting for their answers: who sends more without reading is cut off. */
const mostWaiting = 16;

/** A server with bounds on how long a call may take to arrive, whose refusals before HTTP are problem documents too. */
export function createHttpServer(listener: RequestListener, timeouts: Timeouts): Server {
  const headersTimeout = timeouts.headers * 1000;
  const bounds = {
    headersTimeout,
    requestTimeout: headersTimeout + timeouts.body * 1000,
    connectionsCheckingInterval: Math.min(1_000, headersTimeout),
    keepAliveTimeout: 65_000,
    maxHeaderSize: 32_768,
    // Looked at by the API itself, so that this refusal is like all others.
    requireHostHeader: false,
  };
  const waiting = new WeakMap<Duplex, Set<ServerResponse>>();
  const answer: RequestListener = (request, response) => {
    const { socket } = request;
    const calls = waiting.get(socket) ?? new Set();
    waiting.set(socket, calls.add(response));
    response.once('close', () => calls.delete(response));
    if (calls.size > mostWaiting) socket.destroy();
    else listener(request, response);
  };
  const server = createServer(bounds, answer);
  server.setTimeout(longestStill);
  // An expectation that is not known may be ignored (RFC 9110 §10.1.1).
  server.on('checkExpectation', answer);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    const calls = [...(waiting.get(socket) ?? [])];
    // Rubbish after a whole call: an answer to it now would be taken for that call's.
    const isOfThisCall =
      calls.length === 0 || (calls.length === 1 && !calls[0]!.req.complete && !calls[0]!.headersSent);
    if (socket.writable && isOfThisCall) socket.end(refusalOf(codeOf(error)));
    else socket.destroy();
  });
  return server;
}

function codeOf({ code }: NodeJS.ErrnoException): ErrorCode {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request-timeout';
  return code === 'HPE_HEADER_OVERFLOW' ? 'too-large' : 'invalid-request';
}

function refusalOf(code: ErrorCode): string {
  const status = statusOf[code];
  const body = JSON.stringify(problemOf(new LatchkeyError(code, 'the call did not arrive whole and well formed')));
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/problem+json',
    'Cache-Control: no-store',
    'X-Content-Type-Options: nosniff',
    `X-Request-Id: ${randomUUID()}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** Answers while the broker starts: it lives, takes no traffic, and says what it waits for. */
export function answerNotReady(request: IncomingMessage, response: ServerResponse, missing: string): void {
  const [status, type, body] =
    request.url === '/livez'
      ? [200, 'application/json', { status: 'alive' }]
      : request.url === '/readyz'
        ? [503, 'application/json', { status: 'not ready', missing: [missing] }]
        : [503, 'application/problem+json', problemOf(new LatchkeyError('unavailable', 'the broker is starting'))];
  response.writeHead(status, {
    'Content-Type': type,
    'Cache-Control': 'no-store',
    'X-Request-Id': randomUUID(),
    ...(status === 503 && { 'Retry-After': '1' }),
  });
  response.end(JSON.stringify(body));
}
