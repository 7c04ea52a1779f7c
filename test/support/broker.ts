import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Pool } from 'pg';
import { parseConfig, type Config } from '../../src/config.ts';
import type { Rotation } from '../../src/credentials/rotation.ts';
import type { TenantId } from '../../src/domain/ids.ts';
import type { IdentityProviderConfig } from '../../src/http/identity/types.ts';
import { startBroker, type RunningBroker, type ServeLog } from '../../src/serve.ts';
import { checkLedger } from './check-ledger.ts';
import { newTestDevice, type TestDevice } from './device.ts';
import { startTestIssuer, type TestIssuer, type TestPerson } from './issuer.ts';
import { newTestDatabase, type TestDatabase } from './postgres.ts';

const inTenYears = new Date(Date.now() + 10 * 365 * 86_400_000).toISOString();
const provider = { employer: 'provider', region: 'EU', trainingValidUntil: inTenYears };

/** The people of every test, as their provider describes them. */
export const people = {
  ada: { sub: 'ada', name: 'Ada Okafor', email: 'ada@provider.example', teams: ['room-ops'], ...provider },
  ben: { sub: 'ben', name: 'Ben Lindqvist', teams: ['room-ops'], ...provider, employer: 'subcontractor' },
  chloe: { sub: 'chloe', name: 'Chloé Marchetti', teams: ['room-leads'], ...provider },
  dmitri: { sub: 'dmitri', name: 'Dmitri Volkov', teams: ['room-leads'], ...provider },
  priya: { sub: 'priya', name: 'Priya Nair', teams: ['privacy-office'], ...provider },
  carmen: { sub: 'carmen', name: 'Carmen Ortiz', teams: ['customer-approvers:contoso'], employer: 'customer' },
  felix: { sub: 'felix', name: 'Felix Braun', teams: ['customer-approvers:fabrikam'], employer: 'customer' },
  olu: { sub: 'olu', name: 'Olu Adeyemi', teams: ['operators'], ...provider },
  aud: { sub: 'aud', name: 'Aud Nakamura', teams: ['auditors'], ...provider },
  zed: { sub: 'zed', name: 'Zed Moreau', teams: ['room-ops'], ...provider, trainingValidUntil: '2020-01-01T00:00:00Z' },
  nobody: { sub: 'nobody', name: 'No Body' },
} as const satisfies Record<string, TestPerson>;

export type Who = keyof typeof people | TestPerson;

export interface Reply {
  readonly status: number;
  // Whatever the API answers: tests say what they expect of it.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
  readonly headers: Headers;
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Which of several brokers is called; by default each in turn. */
  readonly broker?: number;
  /** Where another broker listens, which this did not start. */
  readonly url?: string;
}

export interface TestBroker {
  readonly brokers: readonly RunningBroker[];
  readonly config: Config;
  readonly issuer: TestIssuer;
  readonly database: TestDatabase;
  /** Connections as the superuser, to look and to meddle. */
  readonly sql: Pool;
  readonly logLines: object[];
  /** A tenant `contoso` with three enrolled devices, and `fabrikam` with one. */
  readonly contoso: { readonly id: TenantId; readonly devices: readonly TestDevice[] };
  readonly fabrikam: { readonly id: TenantId; readonly devices: readonly TestDevice[] };
  call(who: Who | null, method: string, path: string, body?: unknown, options?: CallOptions): Promise<Reply>;
  enrol(tenant: TenantId, facts?: object): Promise<TestDevice>;
  /** Asks, and expects 201. */
  ask(who: Who, profile: string, wish?: object): Promise<Reply['body']>;
  /** Asks and has it approved by whoever the profile needs. @returns the grant. */
  grant(who: Who, profile: string, wish?: object): Promise<Reply['body']>;
  /** Events of these types, oldest first. */
  events(...types: string[]): Promise<Reply['body'][]>;
  checkLedger(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestBrokerOptions {
  /** Errors of the broker's own are part of the test, and are not printed. */
  readonly quiet?: boolean;
  /** Where brokers find the database, given where it is: something may stand between. */
  readonly databaseUrl?: (url: string) => string | Promise<string>;
  readonly brokers?: number;
  readonly config?: object;
  readonly policies?: string;
  /** Believed beside the issuer of the test's people. */
  readonly identityProviders?: readonly IdentityProviderConfig[];
  /** When keys are rotated, in times that no configuration file may say. */
  readonly keys?: Partial<Rotation>;
}

const policies = fileURLToPath(new URL('../../policies', import.meta.url));

/** One broker, or several on one database, with people, tenants and devices: everything real, on loopback. */
export async function newTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const [database, issuer, directory, port] = await Promise.all([
    newTestDatabase(),
    startTestIssuer(),
    mkdtemp(join(tmpdir(), 'latchkey-test-')),
    freePort(),
  ]);
  const logLines: object[] = [];
  const log = Object.fromEntries(
    ['info', 'warn', 'error'].map((level) => [
      level,
      (fields: object, message: string) => {
        logLines.push({ level, message, ...fields });
        if (level === 'error' && !options.quiet) process.stderr.write(`${message}: ${JSON.stringify(fields)}\n`);
      },
    ]),
  ) as unknown as ServeLog;
  const publicUrl = `http://127.0.0.1:${port}`;
  const { keys, ...rest } = parseConfig({
    publicUrl,
    listen: { host: '127.0.0.1', port },
    region: 'EU',
    database: { url: (await options.databaseUrl?.(database.appUrl)) ?? database.appUrl, poolSize: 10 },
    identityProviders: [issuer.config, ...(options.identityProviders ?? [])],
    policies: options.policies ?? policies,
    secrets: { directory: join(directory, 'secrets') },
    ledger: { origin: 'latchkey.test/eu' },
    rateLimits: { person: lax, device: lax, address: lax },
    ...options.config,
  });
  const config = { ...rest, keys: { ...keys, ...options.keys } };
  const brokers = [await startBroker(config, log)];
  while (brokers.length < (options.brokers ?? 1)) {
    brokers.push(await startBroker({ ...config, listen: { host: '127.0.0.1', port: 0 } }, log));
  }
  const sql = new Pool({ connectionString: database.superuserUrl, max: 4, pipeline: true });
  sql.on('error', () => {});

  const tokens = new Map<string, Promise<string>>();
  const tokenOf = (who: Who): Promise<string> => {
    const person: TestPerson = typeof who === 'string' ? people[who] : who;
    const key = JSON.stringify(person);
    if (!tokens.has(key)) tokens.set(key, issuer.tokenFor(person));
    return tokens.get(key)!;
  };
  let turn = 0;
  const call: TestBroker['call'] = async (who, method, path, body, { headers = {}, broker, url } = {}) => {
    const target = brokers[broker ?? turn++ % brokers.length]!;
    const response = await fetch((url ?? target.url) + path, {
      method,
      headers: {
        ...(who !== null && { authorization: `Bearer ${await tokenOf(who)}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  };
  const must = async (status: number, reply: Promise<Reply>): Promise<Reply['body']> => {
    const { status: got, body } = await reply;
    if (got !== status) throw new Error(`expected ${status}, got ${got}: ${JSON.stringify(body)}`);
    return body;
  };
  const enrol: TestBroker['enrol'] = async (tenant, facts = {}) => {
    const { code } = await must(201, call('olu', 'POST', '/v1/enrolment-codes', { tenant }));
    const device = await newTestDevice(publicUrl, brokers[0]!.url);
    await device.enrol(code, facts);
    return device;
  };
  const tenant = async (slug: string, names: string[]): Promise<{ id: TenantId; devices: TestDevice[] }> => {
    const { id } = await must(201, call('olu', 'PUT', `/v1/tenants/${slug}`, { name: slug, region: 'EU' }));
    const devices: TestDevice[] = [];
    for (const hostname of names) devices.push(await enrol(id, { hostname, serial: `SN-${hostname}` }));
    return { id, devices };
  };
  const contoso = await tenant('contoso', ['boardroom', 'studio', 'lobby']);
  const fabrikam = await tenant('fabrikam', ['atrium']);

  const ask: TestBroker['ask'] = (who, profile, wish = {}) =>
    must(
      201,
      call(who, 'POST', '/v1/requests', {
        profile,
        devices: [contoso.devices[0]!.id],
        duration: 'PT10M',
        reason: 'panel frozen',
        ...wish,
      }),
    );
  const approvers: Record<string, Who> = { lead: 'chloe', customer: 'carmen', privacy: 'priya' };
  const stop = async (): Promise<void> => {
    await Promise.all(brokers.map((broker) => broker.stop()));
    await Promise.all([issuer.stop(), sql.end()]);
    await database.drop();
    await rm(directory, { recursive: true, force: true });
  };
  return {
    brokers,
    config,
    issuer,
    database,
    sql,
    logLines,
    contoso,
    fabrikam,
    call,
    enrol,
    ask,
    async grant(who, profile, wish) {
      let request = await ask(who, profile, wish);
      for (const stage of request.stages) {
        const path = `/v1/requests/${request.id}/decisions`;
        request = await must(
          200,
          call(approvers[stage.name]!, 'POST', path, { verdict: 'approve', stage: stage.name }),
        );
      }
      return request.grant;
    },
    async events(...types) {
      const { rows } = await sql.query<{ bytes: Buffer }>(
        'SELECT bytes FROM audit_events WHERE type = ANY ($1) ORDER BY at, id',
        [types],
      );
      return rows.map((row) => JSON.parse(row.bytes.toString('utf8')));
    },
    checkLedger: () => checkLedger(sql),
    stop,
  };
}

const lax = { perSecond: 100_000, burst: 100_000 };

/** Where the secrets of a broker without a Key Vault are. */
export function secretsDirectory({ secrets }: Config): string {
  if (!('directory' in secrets)) throw new Error('its secrets are in a Key Vault');
  return secrets.directory;
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Runs one statement as one of the database's roles. */
export async function asRole(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
