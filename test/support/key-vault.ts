import { randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { isUnauthorized, ServiceError } from './key-vault/errors.ts';
import { answer, type Action, type ServiceAnswer } from './key-vault/routes.ts';
import { SecretStore, type StoreOptions } from './key-vault/store.ts';

/** Something that goes wrong with a call. `done` says that the service has done it, and only the answer is lost. */
export type Fault =
  | { readonly error: ServiceError; readonly done?: boolean }
  | { readonly reset: true; readonly done?: boolean }
  | { readonly hang: true; readonly done?: boolean }
  | { readonly slow: number };

export interface Call {
  readonly method: string;
  readonly path: string;
  /** Whether it shows a token: a client's first call shows none, and meets the challenge. */
  readonly hasToken: boolean;
  /** Null when it was never answered. */
  status: number | null;
}

/** A Key Vault that behaves as the service documents it for secrets, for the real client to talk to. */
export interface TestKeyVault {
  readonly url: string;
  readonly token: string;
  readonly store: SecretStore;
  /** Every call, in the order of arrival. */
  readonly calls: Call[];
  /** What the caller's role does not allow. */
  readonly denied: Set<Action>;
  /** Decides what goes wrong, call by call; null when nothing does. */
  fault: ((call: Call) => Fault | null) | null;
  /** The service is away: nobody listens, and what was connected is cut. */
  stop(): Promise<void>;
  /** It is back where it was, with what it held. */
  start(): Promise<void>;
}

export interface TestKeyVaultOptions extends Partial<Omit<StoreOptions, 'url'>> {
  readonly port?: number;
  readonly token?: string;
}

export async function startKeyVault(options: TestKeyVaultOptions = {}): Promise<TestKeyVault> {
  const { token = `canary-token-${randomUUID()}`, now = Date.now } = options;
  let port = options.port ?? 0;
  const url = (): string => `http://127.0.0.1:${port}`;
  const store = new SecretStore({
    now,
    recoverableDays: 90,
    purgeProtection: false,
    delays: { deletion: 200, recovery: 200, purge: 200 },
    ...options,
    url,
  });
  const calls: Call[] = [];
  const sockets = new Set<Socket>();

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url: path = '' } = request;
    const call: Call = { method, path, hasToken: request.headers.authorization !== undefined, status: null };
    calls.push(call);
    const body = await readBody(request);
    const fault = vault.fault?.(call) ?? null;
    let result: ServiceAnswer | ServiceError;
    try {
      if (fault && 'error' in fault && !fault.done) throw fault.error;
      if (fault && 'reset' in fault && !fault.done) return void request.socket.resetAndDestroy();
      if (fault && 'hang' in fault && !fault.done) return;
      if (fault && 'slow' in fault) await new Promise((resolve) => setTimeout(resolve, fault.slow));
      authenticate(request, token);
      result = answer(store, { method, url: new URL(path, url()), body }, vault.denied);
      if (fault && 'reset' in fault) return void request.socket.resetAndDestroy();
      if (fault && 'hang' in fault) return;
      if (fault && 'error' in fault) throw fault.error;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      result = error;
    }
    call.status = result.status;
    respond(request, response, result);
  };
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      // Nothing here may fail but by a mistake of the test's own.
      response.writeHead(500).end(String(error));
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });

  const vault: TestKeyVault = {
    get url() {
      return url();
    },
    token,
    store,
    calls,
    denied: new Set(),
    fault: null,
    async start() {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', resolve);
      });
      ({ port } = server.address() as AddressInfo);
    },
    async stop() {
      if (!server.listening) return;
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  await vault.start();
  return vault;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    // The client has gone; nothing is answered.
  }
  return Buffer.concat(chunks).toString('utf8');
}

function authenticate(request: IncomingMessage, token: string): void {
  const [scheme, given = ''] = (request.headers.authorization ?? '').split(' ');
  if (scheme !== 'Bearer' || given === '') throw isUnauthorized(null);
  const [a, b] = [Buffer.from(given), Buffer.from(token)];
  if (a.length !== b.length || !timingSafeEqual(a, b)) {
    throw isUnauthorized('AKV10032: Invalid issuer or token.');
  }
}

function respond(request: IncomingMessage, response: ServerResponse, result: ServiceAnswer | ServiceError): void {
  const clientRequestId = request.headers['x-ms-client-request-id'];
  response.writeHead(result.status, {
    'cache-control': 'no-cache',
    pragma: 'no-cache',
    expires: '-1',
    'x-content-type-options': 'nosniff',
    'strict-transport-security': 'max-age=31536000;includeSubDomains',
    'x-ms-keyvault-region': 'westeurope',
    'x-ms-keyvault-service-version': '1.9.2784.1',
    'x-ms-request-id': randomUUID(),
    ...(clientRequestId !== undefined && { 'x-ms-client-request-id': clientRequestId }),
    ...(result.body && { 'content-type': 'application/json; charset=utf-8' }),
    ...(result instanceof ServiceError && result.headers),
  });
  response.end(result.body ? JSON.stringify(result.body) : undefined);
}
