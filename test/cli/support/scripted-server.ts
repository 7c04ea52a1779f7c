import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** One call as it arrived. */
export interface ReceivedCall {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

export interface ScriptedAnswer {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers a call, or writes the answer itself and returns nothing. */
export type Script = (
  call: ReceivedCall,
  response: ServerResponse,
) => ScriptedAnswer | void | Promise<ScriptedAnswer | void>;

/** An HTTP server on loopback that says what a test tells it to, also what no well-behaved broker would. */
export interface ScriptedServer {
  readonly url: string;
  readonly calls: ReceivedCall[];
  /** `route` is a method and a path. A later script for a route takes the place of the former. */
  on(route: string, script: Script): void;
  stop(): Promise<void>;
}

export async function startScriptedServer(): Promise<ScriptedServer> {
  const calls: ReceivedCall[] = [];
  const scripts = new Map<string, Script>();
  const server = createServer((request, response) => void answer(request, response));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://loopback');
    const call: ReceivedCall = {
      method: request.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: readBody(await text(request)),
    };
    calls.push(call);
    const script = scripts.get(`${call.method} ${call.path}`);
    const given = script ? await script(call, response) : problem(404, 'not-found', 'there is nothing here');
    if (!given) return;
    response.writeHead(given.status ?? 200, { 'content-type': 'application/json', ...given.headers });
    response.end(given.body === undefined ? '' : JSON.stringify(given.body));
  }

  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    on: (route, script) => void scripts.set(route, script),
    async stop() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

export function problem(status: number, code: string, detail: string, more: object = {}): ScriptedAnswer {
  return { status, body: { type: `urn:latchkey:problem:${code}`, title: code, status, detail, ...more } };
}

function readBody(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return body;
  }
}
