import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTHeaderParameters } from 'jose';
import type { IdentityProviderConfig } from '../../src/http/identity/types.ts';

export const audience = 'latchkey';
export const testTeams = [
  'room-ops',
  'room-leads',
  'privacy-office',
  'operators',
  'auditors',
  'customer-approvers:contoso',
  'customer-approvers:fabrikam',
];

/** A person as a test speaks of one; what is left out is absent from the token. */
export interface TestPerson {
  readonly sub: string;
  readonly name?: string;
  readonly email?: string;
  readonly teams?: readonly string[];
  readonly employer?: string;
  readonly region?: string;
  readonly trainingValidUntil?: string | number;
  /** What several accounts of one human have in common. */
  readonly human?: string;
}

export interface TestIssuer {
  readonly issuer: string;
  /** The configuration that believes this issuer in everything, with the claim names of the contract's example. */
  readonly config: IdentityProviderConfig;
  readonly kid: string;
  readonly publicJwk: JWK;
  /** The path of every request so far. */
  readonly requests: string[];
  /** Signs these very claims; `typ` is `at+jwt` and `kid` the current key's unless the header says otherwise. */
  sign(claims: object, header?: Partial<JWTHeaderParameters>): Promise<string>;
  /** The base64url signature of an ES256 issuer over any bytes, for tokens that no library would write. */
  signBytes(bytes: Uint8Array<ArrayBuffer>): Promise<string>;
  /** An access token of a person, good for ten minutes. */
  tokenFor(person: TestPerson, claims?: object): Promise<string>;
  /** Signs with a new key from now on; the old one stays published unless told otherwise. */
  rotate(options?: { keepOld?: boolean }): Promise<void>;
  /** While down, every request is cut off without an answer. */
  setDown(down: boolean): void;
  /** Answers a path by hand, until `null` is given for it. */
  answer(path: string, handler: ((request: IncomingMessage, response: ServerResponse) => void) | null): void;
  stop(): Promise<void>;
}

export interface TestIssuerOptions {
  readonly alg?: string;
  /** Milliseconds since the epoch, for the times in tokens. */
  readonly now?: () => number;
}

/** Starts a provider on loopback that publishes its keys over HTTP as real ones do and signs whatever it is told. */
export async function startTestIssuer({ alg = 'ES256', now = Date.now }: TestIssuerOptions = {}): Promise<TestIssuer> {
  let current = await makeKey(alg);
  let published = [current.publicJwk];
  let down = false;
  const requests: string[] = [];
  const byHand = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>();

  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    requests.push(path);
    if (down) return void request.socket.destroy();
    const handler = byHand.get(path);
    if (handler) return handler(request, response);
    const document = documents()[path];
    response.writeHead(document ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? {}));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const documents = (): Record<string, object> => ({
    '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/jwks` },
    '/jwks': { keys: published },
  });

  function sign(claims: object, header: Partial<JWTHeaderParameters> = {}): Promise<string> {
    return new SignJWT({ ...claims })
      .setProtectedHeader({ alg, typ: 'at+jwt', kid: current.publicJwk.kid!, ...header })
      .sign(current.privateKey);
  }

  return {
    issuer,
    config: configFor(issuer),
    get kid() {
      return current.publicJwk.kid!;
    },
    get publicJwk() {
      return current.publicJwk;
    },
    requests,
    sign,
    async signBytes(bytes) {
      const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, current.privateKey, bytes);
      return Buffer.from(signature).toString('base64url');
    },
    tokenFor: (person, claims = {}) => sign({ ...claimsOf(person, issuer, now()), ...claims }),
    async rotate({ keepOld = true } = {}) {
      current = await makeKey(alg);
      published = keepOld ? [...published, current.publicJwk] : [current.publicJwk];
    },
    setDown: (value) => void (down = value),
    answer: (path, handler) => void (handler ? byHand.set(path, handler) : byHand.delete(path)),
    async stop() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** The claims of an access token that a verifier with `configFor(issuer)` accepts at this moment. */
export function claimsOf(person: TestPerson, issuer: string, milliseconds: number): Record<string, unknown> {
  const iat = Math.floor(milliseconds / 1_000);
  const { sub, name, email, teams, employer, region, trainingValidUntil, human } = person;
  const claims = {
    iss: issuer,
    aud: audience,
    sub: `login|${sub}`,
    client_id: 'latchkey-cli',
    jti: randomUUID(),
    iat,
    exp: iat + 600,
    oid: sub,
    name,
    preferred_username: email,
    groups: teams,
    employer,
    region,
    training_valid_until: trainingValidUntil,
    human,
  };
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
}

function configFor(issuer: string): IdentityProviderConfig {
  return {
    issuer,
    audience,
    claims: {
      subject: 'oid',
      name: 'name',
      email: 'preferred_username',
      teams: 'groups',
      region: 'region',
      employer: 'employer',
      trainingValidUntil: 'training_valid_until',
      human: 'human',
    },
    allowedTeams: testTeams,
    allowedEmployers: ['provider', 'subcontractor', 'customer'],
  };
}

async function makeKey(alg: string): Promise<{ readonly privateKey: CryptoKey; readonly publicJwk: JWK }> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const publicJwk = { ...(await exportJWK(publicKey)), kid: randomUUID(), alg, use: 'sig' };
  return { privateKey, publicJwk };
}
