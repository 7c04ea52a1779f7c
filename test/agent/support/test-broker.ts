import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify, type JWK, type JWTPayload } from 'jose';
import { enrolmentCodeSuffix } from '../../../src/domain/enrolment-code.ts';
import { newId, type DeviceId, type GrantId, type PersonId, type TenantId } from '../../../src/domain/ids.ts';
import { newSigningKey, signToken, type SigningKey } from './signing-key.ts';
import { newTestLedger, type TestLedger } from './test-ledger.ts';

export interface ListedGrant {
  readonly id: GrantId;
  readonly person: PersonId;
  readonly scopes: readonly string[];
  readonly startsAt: string;
  readonly expiresAt: string;
}

interface PublishedKey {
  readonly key: SigningKey;
  readonly types: readonly string[] | undefined;
}

/**
 * The broker's side of the contract that an agent sees, over real HTTP: its keys are the test's, so that a test can
 * also sign what no broker would.
 */
export interface TestBroker {
  readonly url: string;
  readonly device: DeviceId;
  readonly tenant: TenantId;
  /** Enrols any number of devices. */
  readonly code: string;
  credentialKey: SigningKey;
  readonly statementKey: SigningKey;
  readonly ledger: TestLedger;
  /** The key set it serves; a test may change it. */
  keys: PublishedKey[];
  /** The ids it lists in its statements. */
  validKids: string[];
  /** How often each path was called. */
  readonly calls: Map<string, number>;
  /** Answers these paths with 503, or with a status of the test's choice. */
  readonly failing: Map<string, number>;
  /** Extra headers and body for a path, to answer what no broker would. */
  readonly answers: Map<string, (response: ServerResponse) => void>;
  readonly events: JWTPayload[];
  /** Ids of events that it will not have: a call with one of them in it is refused as a whole. */
  readonly unwanted: Set<string>;
  readonly states: unknown[];
  readonly enrolled: JWK[];
  grants: ListedGrant[];
  version: number;
  /** Milliseconds since the epoch; what a statement's `iat` is. */
  now: () => number;
  /** Signs a statement; `claims` replaces what the test wants to be wrong. */
  statement(claims?: object, header?: object): Promise<string>;
  /** Sets the grants under a new version and tells every open stream. */
  push(grants: ListedGrant[]): Promise<void>;
  /** Cuts every open stream. */
  cut(): void;
  /** Waits until an event of that type about that grant has come. */
  event(type: string, grant: GrantId): Promise<JWTPayload>;
  /** All that came about a grant, in order. */
  eventsOf(grant: GrantId): readonly JWTPayload[];
  close(): Promise<void>;
}

export async function startTestBroker(now: () => number = () => Date.now()): Promise<TestBroker> {
  const [credentialKey, statementKey] = [await newSigningKey(), await newSigningKey()];
  const ledger = newTestLedger();
  const ledgerKey = ledger.vkey;
  const streams = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const broker: TestBroker = {
    url,
    device: newId('device', now()),
    tenant: newId('tenant', now()),
    code: `open-sesame-${enrolmentCodeSuffix(url, ledgerKey)}`,
    credentialKey,
    statementKey,
    ledger,
    keys: [
      { key: credentialKey, types: ['at+jwt'] },
      { key: statementKey, types: ['live-grants+jwt', 'latchkey-agent+jwt'] },
    ],
    validKids: [credentialKey.kid],
    calls: new Map(),
    failing: new Map(),
    answers: new Map(),
    events: [],
    unwanted: new Set(),
    states: [],
    enrolled: [],
    grants: [],
    version: 1,
    now,
    statement(claims = {}, header = {}) {
      const { device, version, grants, validKids } = broker;
      const iat = broker.now() / 1_000;
      const about = { iss: url, aud: `urn:latchkey:device:${device}`, iat, exp: iat + 60 };
      const payload = { ...about, version, keys: validKids, grants, ...claims };
      return signToken(statementKey, { typ: 'live-grants+jwt', kid: statementKey.kid, ...header }, payload);
    },
    async push(grants) {
      broker.grants = grants;
      broker.version += 1;
      const statement = await broker.statement();
      for (const stream of streams) sendStatement(stream, statement);
    },
    cut() {
      for (const stream of streams) stream.destroy();
    },
    eventsOf: (grant) => broker.events.filter((event) => event['grant'] === grant),
    async event(type, grant) {
      for (let tries = 0; tries < 400; tries++) {
        const found = broker.eventsOf(grant).find((event) => event['type'] === type);
        if (found) return found;
        await sleep(10);
      }
      throw new Error(`no \`${type}\` came; there are: ${broker.events.map((event) => event['type']).join(', ')}`);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = `${request.method} ${request.url}`;
    broker.calls.set(path, (broker.calls.get(path) ?? 0) + 1);
    const body = await readBody(request);
    const failing = broker.failing.get(path);
    if (failing !== undefined) return json(response, failing, { detail: `the test answers ${failing}` });
    const answer = broker.answers.get(path);
    if (answer) return answer(response);
    switch (path) {
      case 'GET /.well-known/jwks.json':
        return json(response, 200, { keys: broker.keys.map(published) });
      case 'POST /v1/devices':
        return enrol(JSON.parse(body) as Enrolling, response);
      case 'POST /oauth2/token':
        return signIn(new URLSearchParams(body), response);
      case 'GET /v1/agent/stream':
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        streams.add(response);
        response.on('close', () => streams.delete(response));
        return sendStatement(response, await broker.statement());
      case 'GET /v1/agent/live-grants':
        response.writeHead(200, { 'content-type': 'application/jwt' });
        return void response.end(await broker.statement());
      case 'PUT /v1/agent/state':
        broker.states.push(JSON.parse(body));
        return json(response, 200, {});
      case 'POST /v1/agent/events':
        return takeEvents(JSON.parse(body) as { readonly events: string[] }, response);
      default:
        return json(response, 404, {});
    }
  }

  async function enrol({ code, publicKey, proof }: Enrolling, response: ServerResponse): Promise<void> {
    const { payload, protectedHeader } = await jwtVerify(proof, await importJWK(publicKey, 'ES256'), { audience: url });
    const isRight =
      protectedHeader.typ === 'latchkey-enrolment+jwt' && payload['code'] === code && code === broker.code;
    if (!isRight) return json(response, 403, { detail: 'the enrolment code is not known' });
    if (broker.enrolled.some(({ x }) => x === publicKey.x)) return json(response, 409, { detail: 'known key' });
    broker.enrolled.push(publicKey);
    const { device, tenant } = broker;
    const place = { issuer: url, jwksUri: `${url}/.well-known/jwks.json`, ledgerKey };
    json(response, 201, { id: device, tenant, name: 'Room', state: 'enrolled', ...place });
  }

  async function signIn(form: URLSearchParams, response: ServerResponse): Promise<void> {
    const assertion = form.get('client_assertion')!;
    const key = await importJWK(broker.enrolled.at(-1)!, 'ES256');
    const options = { audience: url, issuer: broker.device, subject: broker.device, typ: 'client-authentication+jwt' };
    const { payload } = await jwtVerify(assertion, key, { ...options, requiredClaims: ['jti', 'exp'] });
    if (payload.exp! - Date.now() / 1_000 > 60) return json(response, 400, { error: 'invalid_client' });
    json(response, 200, { access_token: `agent-${broker.calls.size}`, token_type: 'Bearer', expires_in: 300 });
  }

  async function takeEvents({ events }: { readonly events: string[] }, response: ServerResponse): Promise<void> {
    if (events.some((statement) => broker.unwanted.has(decodeJwt(statement).jti!))) {
      return json(response, 400, { type: 'urn:latchkey:problem:invalid-request' });
    }
    for (const statement of events) {
      const { typ } = decodeProtectedHeader(statement);
      const key = await importJWK(broker.enrolled.at(-1)!, 'ES256');
      await jwtVerify(statement, key, { audience: url, issuer: broker.device, typ: 'latchkey-event+jwt' });
      const event = decodeJwt(statement);
      if (typ && !broker.events.some(({ jti }) => jti === event.jti)) broker.events.push(event);
    }
    response.writeHead(204).end();
  }

  return broker;
}

interface Enrolling {
  readonly code: string;
  readonly publicKey: JWK;
  readonly proof: string;
}

function published({ key, types }: PublishedKey): object {
  const typed = types === undefined ? {} : { latchkey_typ: types };
  return { ...key.publicJwk, kid: key.kid, alg: 'ES256', use: 'sig', ...typed };
}

function sendStatement(stream: ServerResponse, statement: string): void {
  stream.write(`event: live-grants\ndata: ${statement}\n\n`);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
