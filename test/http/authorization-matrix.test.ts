import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { HttpContext } from '../../src/http/context.ts';
import { apiRoutes } from '../../src/http/routes/index.ts';
import { newTestBroker, people, type Reply, type TestBroker } from '../support/broker.ts';
import type { TestDevice } from '../support/device.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { newSetDevice, secretProof, type PasswordDevice } from '../support/passwords.ts';

let broker: TestBroker;
let key: EngineerKey;
const tokens = new Map<Caller, string>();

type Person = keyof typeof people;
type Caller = Person | 'device' | 'no token';
/** Whose thing is called upon: of the tenant `contoso`, of `fabrikam`, or nobody's since it does not exist. */
type Place = 'contoso' | 'fabrikam' | 'missing';

const everyone = Object.keys(people) as Person[];
const callers: readonly Caller[] = [...everyone, 'device', 'no token'];
const staff = ['ada', 'ben', 'chloe', 'dmitri', 'priya', 'olu', 'aud', 'zed'] as const;
/** Who sees everybody's requests and grants. */
const overseers = ['chloe', 'dmitri', 'priya', 'olu', 'aud'] as const;
const leads = ['chloe', 'dmitri'] as const;

/** What a call needs to exist before it is made. */
interface Target {
  readonly id: string;
  readonly device?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** Who gets which status. Whoever is in no list gets `else`; people without a token and devices get 401 unless listed. */
interface Expected {
  readonly [status: number]: readonly Caller[];
  readonly else: number;
}

interface Row {
  readonly route: string;
  readonly query?: string;
  /** What sets this row apart from others of its route. */
  readonly about?: string;
  /** Makes what is called upon; asked again whenever a call may have used it up. */
  readonly make?: (place: 'contoso' | 'fabrikam') => Promise<Target>;
  readonly body?: unknown;
  readonly contoso: Expected;
  readonly fabrikam?: Expected;
  readonly missing?: Expected;
}

const all = (status: number, but: Omit<Expected, 'else'> = {}): Expected => ({ else: status, ...but });
const nobodyHasIt = all(404);
const missingIds: Readonly<Record<string, string>> = {
  requests: 'req_00000000000000000000000000',
  grants: 'grt_00000000000000000000000000',
  devices: 'dev_00000000000000000000000000',
  persons: 'per_00000000000000000000000000',
};

const ownerOf = { contoso: 'ada', fabrikam: 'ben' } as const;
const wishFor = (place: 'contoso' | 'fabrikam', profile: string, duration = 'PT20M'): object => ({
  profile,
  devices: [broker[place].devices[0]!.id],
  duration,
  reason: 'for the matrix',
});
const must = async (status: number, reply: Promise<Reply>): Promise<Reply['body']> => {
  const { status: got, body } = await reply;
  assert.equal(got, status, JSON.stringify(body));
  return body;
};
const pending = async (place: 'contoso' | 'fabrikam'): Promise<Target> =>
  must(201, broker.call(ownerOf[place], 'POST', '/v1/requests', wishFor(place, 'remote-admin')));
const cancelled = async (place: 'contoso' | 'fabrikam'): Promise<Target> => {
  const { id } = await pending(place);
  return must(200, broker.call(ownerOf[place], 'POST', `/v1/requests/${id}/cancel`));
};
const active = async (place: 'contoso' | 'fabrikam'): Promise<Target> =>
  (await must(201, broker.call(ownerOf[place], 'POST', '/v1/requests', wishFor(place, 'diagnose')))).grant;
const ended = async (place: 'contoso' | 'fabrikam'): Promise<Target> => {
  const { id } = await active(place);
  return must(200, broker.call(ownerOf[place], 'POST', `/v1/grants/${id}/release`));
};
const urgent = async (place: 'contoso' | 'fabrikam'): Promise<Target> =>
  (await must(201, broker.call('chloe', 'POST', '/v1/requests', wishFor(place, 'break-glass')))).grant;
const reviewed = async (place: 'contoso' | 'fabrikam'): Promise<Target> => {
  const { id } = await urgent(place);
  return must(200, broker.call('dmitri', 'POST', `/v1/grants/${id}/review`, { verdict: 'justified' }));
};
const minted =
  (make: (place: 'contoso' | 'fabrikam') => Promise<Target>) =>
  async (place: 'contoso' | 'fabrikam'): Promise<Target> => ({
    id: (await make(place)).id,
    body: { device: broker[place].devices[0]!.id },
  });
const secretive = async (): Promise<Target> => {
  const { device } = (room ??= await newSetDevice(broker));
  return { ...(await broker.grant('ada', 'release-secret', { devices: [device.id] })), device: device.id };
};
let room: PasswordDevice | undefined;
const enrolled = async (place: 'contoso' | 'fabrikam'): Promise<Target> => ({
  id: (await broker.enrol(broker[place].id)).id,
});
const someone = async (): Promise<Target> =>
  must(200, broker.call({ sub: crypto.randomUUID(), name: 'Some One' }, 'GET', '/v1/me'));
const slugOf = async (place: 'contoso' | 'fabrikam'): Promise<Target> => ({ id: place });

const seen = { contoso: [...overseers, 'ada', 'carmen'], fabrikam: [...overseers, 'ben', 'felix'] } as const;
const without = (list: readonly Person[], ...others: readonly Person[]): Person[] =>
  list.filter((each) => !others.includes(each));

/** An action on a thing: who may gets `ok`, who only sees it 403, everyone else 404. */
function action(
  ok: number,
  may: { contoso: readonly Person[]; fabrikam: readonly Person[] },
): Pick<Row, 'contoso' | 'fabrikam' | 'missing'> {
  const of = (place: 'contoso' | 'fabrikam'): Expected =>
    all(404, { [ok]: may[place], 403: without(seen[place], ...may[place]) });
  return { contoso: of('contoso'), fabrikam: of('fabrikam'), missing: nobodyHasIt };
}
const owner = { contoso: ['ada'], fabrikam: ['ben'] } as const;
const deciders = { contoso: [...leads, 'carmen'], fabrikam: [...leads, 'felix'] } as const;
const revokers = { contoso: [...leads, 'olu', 'carmen'], fabrikam: [...leads, 'olu', 'felix'] } as const;
/** Of break-glass taken by chloe: she sees it as its holder, ada and ben do not see it at all. */
const reviewers = (ok: number): Pick<Row, 'contoso' | 'fabrikam' | 'missing'> => ({
  contoso: all(404, { [ok]: ['dmitri', 'carmen'], 403: ['chloe', 'priya', 'olu', 'aud'] }),
  fabrikam: all(404, { [ok]: ['dmitri', 'felix'], 403: ['chloe', 'priya', 'olu', 'aud'] }),
  missing: nobodyHasIt,
});

const customers = ['carmen', 'felix'] as const;
const mine = all(403, { 200: ['ada', 'ben', 'chloe', 'dmitri', 'priya', 'olu', 'zed'] });
const others = all(403, { 200: [...overseers, ...customers] });
const open = all(200, { 200: callers });
const ofDevice = all(401, { 200: ['device'] });
const signedIn = all(200);

const rows: readonly Row[] = [
  {
    route: 'POST /v1/requests',
    about: 'diagnose',
    body: 'diagnose',
    contoso: all(403, { 201: ['ada', 'ben'], 400: ['felix'] }),
    fabrikam: all(403, { 201: ['ada', 'ben'], 400: ['carmen'] }),
  },
  { route: 'POST /v1/requests', about: 'update', body: 'update', contoso: all(403, { 201: ['ada'], 400: ['felix'] }) },
  {
    route: 'POST /v1/requests',
    about: 'break-glass',
    body: 'break-glass',
    contoso: all(403, { 201: leads, 400: ['felix'] }),
  },
  {
    route: 'POST /v1/requests',
    about: 'dry run',
    query: '?dryRun=true',
    body: 'diagnose',
    contoso: all(403, { 200: ['ada', 'ben'], 400: ['felix'] }),
  },
  { route: 'GET /v1/requests', contoso: mine },
  { route: 'GET /v1/requests', query: '?view=all', contoso: others },
  {
    route: 'GET /v1/requests',
    query: '?view=approvable',
    contoso: all(403, { 200: [...leads, 'priya', ...customers] }),
  },
  { route: 'GET /v1/requests/{id}', make: pending, ...action(200, seen) },
  { route: 'POST /v1/requests/{id}/decisions', make: pending, body: { verdict: 'approve' }, ...action(200, deciders) },
  {
    route: 'POST /v1/requests/{id}/decisions',
    about: 'cancelled',
    make: cancelled,
    body: { verdict: 'deny' },
    ...action(409, deciders),
  },
  { route: 'POST /v1/requests/{id}/cancel', make: pending, ...action(200, owner) },
  { route: 'POST /v1/requests/{id}/cancel', about: 'cancelled', make: cancelled, ...action(409, owner) },

  { route: 'GET /v1/grants', contoso: mine },
  { route: 'GET /v1/grants', query: '?view=all', contoso: others },
  { route: 'GET /v1/grants/{id}', make: active, ...action(200, seen) },
  { route: 'GET /v1/grants/{id}', about: 'ended', make: ended, ...action(200, seen) },
  { route: 'POST /v1/grants/{id}/credentials', make: minted(active), ...action(201, owner) },
  { route: 'POST /v1/grants/{id}/credentials', about: 'ended', make: minted(ended), ...action(409, owner) },
  {
    route: 'POST /v1/grants/{id}/secrets',
    make: secretive,
    contoso: action(201, owner).contoso,
    missing: nobodyHasIt,
  },
  {
    route: 'POST /v1/grants/{id}/secrets',
    about: 'that allows none',
    make: active,
    contoso: all(404, { 403: seen.contoso }),
    fabrikam: all(404, { 403: seen.fabrikam }),
  },
  {
    route: 'POST /v1/grants/{id}/extensions',
    make: active,
    body: { duration: 'PT1M', reason: 'x' },
    ...action(201, owner),
  },
  {
    route: 'POST /v1/grants/{id}/extensions',
    about: 'ended',
    make: ended,
    body: { duration: 'PT1M', reason: 'x' },
    ...action(409, owner),
  },
  { route: 'POST /v1/grants/{id}/revoke', make: active, body: { reason: 'x' }, ...action(200, revokers) },
  {
    route: 'POST /v1/grants/{id}/revoke',
    about: 'ended',
    make: ended,
    body: { reason: 'x' },
    ...action(409, revokers),
  },
  { route: 'POST /v1/grants/{id}/release', make: active, ...action(200, owner) },
  { route: 'POST /v1/grants/{id}/release', about: 'ended', make: ended, ...action(409, owner) },
  { route: 'POST /v1/grants/{id}/review', make: urgent, body: { verdict: 'unjustified' }, ...reviewers(200) },
  {
    route: 'POST /v1/grants/{id}/review',
    about: 'reviewed',
    make: reviewed,
    body: { verdict: 'justified' },
    ...reviewers(409),
  },
  { route: 'GET /v1/sessions', contoso: all(403, { 200: [...staff, ...customers] }) },

  { route: 'GET /v1/me', contoso: signedIn },
  { route: 'GET /v1/profiles', contoso: signedIn },
  { route: 'GET /v1/notices', contoso: signedIn },
  { route: 'GET /v1/policies', contoso: signedIn },
  { route: 'GET /v1/alarms', contoso: all(403, { 200: [...leads, 'olu', 'aud', ...customers] }) },
  {
    route: 'PUT /v1/persons/{id}/links/{other}',
    contoso: all(403, { 204: ['olu'] }),
    missing: all(403, { 404: ['olu'] }),
  },
  {
    route: 'DELETE /v1/persons/{id}',
    make: someone,
    contoso: all(403, { 204: ['olu'] }),
    missing: all(403, { 404: ['olu'] }),
  },

  { route: 'GET /v1/tenants', contoso: all(403, { 200: ['olu', 'aud', ...customers] }) },
  {
    route: 'GET /v1/tenants/{slug}',
    make: slugOf,
    contoso: all(404, { 200: ['olu', 'aud', 'carmen'] }),
    fabrikam: all(404, { 200: ['olu', 'aud', 'felix'] }),
    missing: nobodyHasIt,
  },
  {
    route: 'PUT /v1/tenants/{slug}',
    make: slugOf,
    body: { name: 'as ever', region: 'EU' },
    contoso: all(403, { 200: ['olu'] }),
    fabrikam: all(403, { 200: ['olu'] }),
    missing: all(403, { 201: ['olu'] }),
  },
  {
    route: 'POST /v1/enrolment-codes',
    contoso: all(403, { 201: ['olu'] }),
    fabrikam: all(403, { 201: ['olu'] }),
    missing: all(403, { 400: ['olu'] }),
  },
  { route: 'GET /v1/devices', contoso: all(403, { 200: [...staff, ...customers] }) },
  {
    route: 'GET /v1/devices/{id}',
    make: enrolled,
    contoso: all(404, { 200: [...staff, 'carmen'] }),
    fabrikam: all(404, { 200: [...staff, 'felix'] }),
    missing: nobodyHasIt,
  },
  {
    route: 'DELETE /v1/devices/{id}',
    make: enrolled,
    contoso: all(404, { 204: ['olu'], 403: [...without(staff, 'olu'), 'carmen'], 404: ['nobody', 'felix', 'device'] }),
    fabrikam: all(404, { 204: ['olu'], 403: [...without(staff, 'olu'), 'felix'], 404: ['nobody', 'carmen', 'device'] }),
    missing: all(404, { 404: ['device'] }),
  },

  { route: 'PUT /v1/agent/state', body: { inUse: false }, contoso: ofDevice },
  { route: 'GET /v1/agent/live-grants', contoso: ofDevice },
  { route: 'GET /v1/agent/stream', contoso: ofDevice },
  {
    route: 'POST /v1/agent/events',
    about: 'a statement that is none',
    body: { events: ['e30.e30.c2ln'] },
    contoso: all(401, { 400: ['device'] }),
  },
  {
    route: 'POST /v1/agent/secrets/local-admin',
    about: 'that enrolled no key for encryption',
    body: { have: 0 },
    contoso: all(401, { 409: ['device'] }),
  },
  { route: 'POST /v1/devices', about: 'a code that nobody made', contoso: all(403, { 403: callers }) },
  { route: 'POST /oauth2/token', about: 'no assertion of a device', contoso: all(401, { 401: callers }) },

  { route: 'GET /ledger/checkpoint', contoso: open },
  { route: 'GET /ledger/tile/{path}', contoso: open },
  { route: 'GET /ledger/tile/entries/{path}', contoso: all(403, { 200: ['aud'] }) },
  { route: 'GET /v1/ledger/entries', contoso: all(403, { 200: ['aud', ...customers] }) },
  { route: 'GET /v1/ledger/proof', query: '?index=0&size=1', contoso: open },
  { route: 'GET /v1/ledger/consistency', query: '?from=1&to=1', contoso: open },
  { route: 'GET /v1/ledger/keys', contoso: open },

  { route: 'GET /livez', contoso: open },
  { route: 'GET /readyz', contoso: open },
  { route: 'GET /.well-known/jwks.json', contoso: open },
  { route: 'GET /v1/sign-in', contoso: open },
  { route: 'GET /openapi.json', contoso: open },
];

let persons: Record<Person, string>;
let caller: TestDevice;
before(async () => {
  broker = await newTestBroker();
  key = await newEngineerKey();
  const ids = await Promise.all(everyone.map(async (who) => [who, (await broker.call(who, 'GET', '/v1/me')).body.id]));
  persons = Object.fromEntries(ids) as Record<Person, string>;
  for (const who of everyone) tokens.set(who, await broker.issuer.tokenFor(people[who]));
  caller = await broker.enrol(broker.contoso.id);
  tokens.set('device', (await caller.signIn()).body['access_token']!);
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
});

/** What a call on this row says, beyond the thing that it is about. */
async function bodyOf(row: Row, place: Place, target: Target | null): Promise<unknown> {
  if (row.route === 'POST /v1/requests') return wishFor(place as 'contoso', String(row.body), 'PT1M');
  if (row.route === 'POST /v1/enrolment-codes') {
    return { tenant: place === 'missing' ? 'ten_00000000000000000000000000' : broker[place].id };
  }
  if (row.route === 'POST /v1/devices') return caller.enrolment('a-code-that-nobody-made');
  if (row.route === 'POST /v1/grants/{id}/credentials') return target?.body ?? { device: missingIds['devices'] };
  if (row.route === 'POST /v1/grants/{id}/secrets') {
    const id = target?.id ?? missingIds['grants']!;
    const device = target?.device ?? broker[place as 'contoso']?.devices[0]!.id ?? missingIds['devices']!;
    return { device, proof: await secretProof(broker, { id, devices: [device] }, { key }) };
  }
  return row.body;
}

function pathOf(row: Row, place: Place, target: Target | null): string {
  const [, path = ''] = row.route.split(' ');
  const person = place === 'missing' ? 'per_00000000000000000000000000' : persons.zed;
  const kind = path.split('/')[2]!;
  return path
    .replace('{id}/links/{other}', `${persons.nobody}/links/${person}`)
    .replace('tile/{path}', 'tile/0/000.p/1')
    .replace('entries/{path}', 'entries/000.p/1')
    .replace('{slug}', target?.id ?? 'no-such-tenant')
    .replace('{id}', target?.id ?? missingIds[kind] ?? 'none');
}

async function statusOf(
  row: Row,
  who: Caller,
  place: Place,
  target: Target | null,
): Promise<{ status: number; text: string }> {
  const [method = ''] = row.route.split(' ');
  const path = pathOf(row, place, target);
  const body = await bodyOf(row, place, target);
  const form = row.route === 'POST /oauth2/token';
  const token = tokens.get(who);
  const stop = new AbortController();
  const response = await fetch(`${broker.brokers[0]!.url}${path}${row.query ?? ''}`, {
    method,
    signal: stop.signal,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(form
        ? { 'content-type': 'application/x-www-form-urlencoded' }
        : body !== undefined && { 'content-type': 'application/json' }),
      ...(path.endsWith('/credentials') && { dpop: await key.proof('POST', broker.config.publicUrl + path) }),
    },
    ...(form ? { body: noAssertion } : body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = path.endsWith('/stream') && response.ok ? '' : await response.text();
  stop.abort();
  return { status: response.status, text };
}
const noAssertion = new URLSearchParams({
  grant_type: 'client_credentials',
  client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  client_assertion: 'eyJhbGciOiJFUzI1NiJ9.e30.c2ln',
}).toString();

function expectedOf(expected: Expected, who: Caller): number {
  for (const [status, list] of Object.entries(expected)) {
    if (Array.isArray(list) && (list as Caller[]).includes(who)) return Number(status);
  }
  return who === 'no token' || who === 'device' ? 401 : expected.else;
}

test('the table speaks of every route, and of none that there is not', () => {
  const context = { broker: broker.brokers[0]!.context } as HttpContext;
  const routes = apiRoutes(context).map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  assert.deepEqual([...new Set(rows.map(({ route }) => route))].sort(), routes.toSorted());
});

describe('who gets what', { concurrency: 4 }, () => {
  for (const row of rows) {
    for (const place of ['contoso', 'fabrikam', 'missing'] as const) {
      const expected = row[place];
      if (!expected) continue;
      test(`${row.route}${row.query ?? ''}${row.about ? ` (${row.about})` : ''}, ${place}`, async () => {
        let target: Target | null = null;
        for (const who of callers) {
          if (place !== 'missing') target ??= (await row.make?.(place)) ?? null;
          const { status, text } = await statusOf(row, who, place, target);
          assert.equal(status, expectedOf(expected, who), `${who}: ${text}`);
          // What was done to it, the next caller is not to find.
          if (status < 300) target = null;
        }
      });
    }
  }
});

test('a device may take itself out, and then counts as nobody', async () => {
  const leaver = await broker.enrol(broker.contoso.id);
  assert.equal((await leaver.call('DELETE', `/v1/devices/${leaver.id}`)).status, 204);
  assert.equal((await leaver.call('GET', '/v1/agent/live-grants')).status, 401);
  assert.equal((await leaver.signIn()).status, 401);
});

test('a list holds what its reader may see, and nothing of other tenants', async () => {
  const contoso = (await pending('contoso')).id;
  const fabrikam = (await pending('fabrikam')).id;
  const holds = async (who: Person, path: string): Promise<[boolean, boolean]> => {
    const { items } = await must(200, broker.call(who, 'GET', path));
    const ids = (items as { id: string }[]).map(({ id }) => id);
    return [ids.includes(contoso), ids.includes(fabrikam)];
  };
  for (const who of overseers) assert.deepEqual(await holds(who, '/v1/requests?view=all'), [true, true], who);
  assert.deepEqual(await holds('carmen', '/v1/requests?view=all'), [true, false]);
  assert.deepEqual(await holds('felix', '/v1/requests?view=all'), [false, true]);
  assert.deepEqual(await holds('felix', '/v1/requests?view=all&tenant=contoso'), [false, false]);
  assert.deepEqual(await holds('carmen', '/v1/requests?view=approvable'), [true, false]);
  assert.deepEqual(await holds('ada', '/v1/requests'), [true, false]);
  assert.deepEqual(await holds('ben', '/v1/requests'), [false, true]);
  const { items } = await must(200, broker.call('felix', 'GET', '/v1/devices?limit=200'));
  assert.ok((items as { tenant: string }[]).every(({ tenant }) => tenant === broker.fabrikam.id));
  const tenants = await must(200, broker.call('felix', 'GET', '/v1/tenants'));
  assert.deepEqual(
    (tenants.items as { slug: string }[]).map(({ slug }) => slug),
    ['fabrikam'],
  );
});
