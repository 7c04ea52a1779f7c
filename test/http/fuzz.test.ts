import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import * as fc from 'fast-check';
import { idPattern, idPrefixes, type IdKind } from '../../src/domain/ids.ts';
import { durationPattern } from '../../src/domain/duration.ts';
import { apiDocument, routesOf, type DocumentedRoute } from '../support/api-document.ts';
import { arbitraryOf, rubbish, spoiled, type Hints } from '../support/arbitrary-of.ts';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';
import { worldOf, type Drawn } from './support/fuzz-world.ts';

let broker: TestBroker;
let agent: Agent;
before(async () => {
  broker = await newTestBroker();
  agent = new Agent({ keepAlive: true, maxSockets: atOnce });
});
after(async () => {
  agent.destroy();
  await broker.stop();
});

const howMany = 20_000;
const batch = 500;
const mostMore = 20;
const atOnce = 32;

const kinds = Object.keys(idPrefixes) as IdKind[];

const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();

const hints: Hints = {
  members: {
    profile: fc.constantFrom(
      'diagnose',
      'diagnose',
      'remediate',
      'update',
      'remote-admin',
      'break-glass',
      'release-secret',
    ),
    wait: fc.constantFrom(0),
    devices: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(['@device:0'], ['@device:1'], ['@device:0', '@device:1']) },
      {
        weight: 1,
        arbitrary: fc.uniqueArray(
          fc.nat(5).map((n) => `@device:${n}`),
          { minLength: 1 },
        ),
      },
    ),
    device: fc.constantFrom('@device:0', '@device:1', '@device:2'),
    startsAt: fc.constantFrom(inSeconds(-60), inSeconds(300), inSeconds(3_600), inSeconds(86_400)),
    region: fc.constantFrom('EU', 'EU', 'US'),
    stage: fc.constantFrom('lead', 'lead', 'customer', 'privacy'),
    narrow: fc.constantFrom({}, {}, {}, {}, { duration: 'PT1M' }, { scopes: ['device.inspect'] }, { scopes: ['root'] }),
  },
  patterns: new Map<string, fc.Arbitrary<unknown>>([
    [
      durationPattern.source,
      fc.constantFrom('PT1S', 'PT1M', 'PT5M', 'PT10M', 'PT20M', 'PT30M', 'PT30M', 'PT4H', 'P99999D'),
    ],
    ['^[a-z0-9-]{1,63}$', fc.oneof(fc.constantFrom('contoso', 'fabrikam'), fc.stringMatching(/^[a-z0-9-]{1,20}$/))],
    ...kinds.map((kind): [string, fc.Arbitrary<unknown>] => [
      idPattern(kind).source,
      fc.oneof(
        { weight: 9, arbitrary: fc.nat(5_000).map((n) => `@${kind}:${n}`) },
        { weight: 1, arbitrary: fc.stringMatching(idPattern(kind)) },
      ),
    ]),
  ]),
};

/** Right most of the time, nearly right often, rubbish sometimes. */
const mixed = (right: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 6, arbitrary: right },
    { weight: 3, arbitrary: spoiled(right) },
    { weight: 1, arbitrary: rubbish },
  );

const headerText = fc.string({
  unit: fc
    .integer({ min: 0x21, max: 0xff })
    .filter((c) => c !== 0x7f)
    .map((c) => String.fromCharCode(c)),
  maxLength: 300,
});

function callsOf(route: DocumentedRoute): fc.Arbitrary<Drawn> {
  const { parameters, requestBody } = route.operation;
  const named = (place: string): fc.Arbitrary<Record<string, unknown>> => {
    const all = parameters.filter((parameter) => parameter.in === place);
    const right = all.map(({ name, schema }) => [name, hints.members[name] ?? arbitraryOf(schema, hints)] as const);
    const values = right.map(
      ([name, one]) =>
        [
          name,
          fc.oneof({ weight: place === 'path' ? 30 : 6, arbitrary: one }, { weight: 1, arbitrary: rubbish }),
        ] as const,
    );
    return fc.record(Object.fromEntries(values), { requiredKeys: place === 'path' ? all.map(({ name }) => name) : [] });
  };
  const [schema] = Object.values(requestBody?.content ?? {}).map((content) => content.schema);
  const body = schema
    ? mixed(arbitraryOf(schema, hints))
    : fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: rubbish });
  const odd = fc.record(
    {
      'idempotency-key': fc.oneof(fc.constantFrom('k1', 'k2', 'k3'), headerText),
      'x-request-id': headerText,
      'x-forwarded-for': headerText,
      accept: headerText,
    },
    { requiredKeys: [] },
  );
  const headers = fc.oneof(
    { weight: 16, arbitrary: fc.constant({}) },
    { weight: 6, arbitrary: odd },
    {
      weight: 1,
      arbitrary: fc.record({ 'content-type': headerText, authorization: headerText }, { requiredKeys: [] }),
    },
  );
  const proof = fc.oneof({ weight: 6, arbitrary: fc.constant('@proof') }, { weight: 1, arbitrary: headerText });
  const wantsProof = parameters.some(({ name }) => name === 'DPoP');
  return fc.record({
    route: fc.constant(route),
    who: callerOf(route),
    params: named('path'),
    query: fc.oneof(
      { weight: 30, arbitrary: named('query') },
      { weight: 1, arbitrary: fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }) },
    ),
    headers: wantsProof ? fc.tuple(headers, proof).map(([all, dpop]) => ({ ...all, dpop })) : headers,
    body,
  });
}

/** Mostly those who may get somewhere, everyone now and then. */
function callerOf({ operation }: DocumentedRoute): fc.Arbitrary<string> {
  const anyone = fc.constantFrom(...Object.keys(people), 'device', 'stranger', 'rubbish');
  const forDevices = operation.security.some((scheme) => 'device' in scheme);
  const likely = forDevices
    ? fc.constantFrom('device')
    : fc.constantFrom('ada', 'ada', 'chloe', 'carmen', 'priya', 'olu');
  return fc.oneof({ weight: 3, arbitrary: likely }, { weight: 1, arbitrary: anyone });
}

interface Answered {
  readonly status: number;
  readonly requestId: string | undefined;
  readonly text: string;
}

test(`no input by itself causes a 5xx, in ${howMany.toLocaleString('en')} calls to every route`, async (context) => {
  const url = new URL(broker.brokers[0]!.url);
  const world = await worldOf(broker);
  const routes = routesOf(await apiDocument(broker)).filter(({ operation }) => operation.tags[0] !== 'Operation');
  // Most calls go where there is most to get wrong.
  const weighted = routes.map((route) => ({ weight: route.operation.requestBody ? 4 : 1, arbitrary: callsOf(route) }));
  const seed = Date.now() & 0x7fffffff;
  context.diagnostic(`seed ${seed}`);
  const anyCall = fc.oneof(...weighted);

  const send = async (drawn: Drawn): Promise<Answered> => {
    const { path, headers, body } = await world.resolve(drawn);
    const { method } = drawn.route;
    return new Promise((resolve, reject) => {
      const sent = request({ agent, host: url.hostname, port: url.port, method, path, headers }, (answer) => {
        const { statusCode: status = 0, headers: got } = answer;
        const requestId = got['x-request-id'] as string | undefined;
        // A stream has no end of its own.
        if (got['content-type']?.startsWith('text/event-stream')) {
          answer.destroy();
          return resolve({ status, requestId, text: '' });
        }
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        answer.on('end', () => resolve({ status, requestId, text }));
      });
      sent.on('error', reject);
      sent.end(body);
    });
  };
  const seen = new Map<string, number>();
  const wrong = new Map<string, string>();
  const check = async (drawn: Drawn): Promise<void> => {
    let answered = await send(drawn);
    // A busy machine may have no connection to the database left in time: made again, the very call must get one.
    for (let tries = 0; answered.status === 503 && tries < 5; tries++) {
      await sleep(500);
      answered = await send(drawn);
    }
    const { status, requestId, text } = answered;
    const { method, path, operation } = drawn.route;
    if (status >= 500 || !requestId || !(status in operation.responses)) {
      wrong.set(
        `${method} ${path} answered ${status}`,
        `${text}\n${JSON.stringify({ ...drawn, route: null }).slice(0, 2_000)}`,
      );
    }
    seen.set(`${operation.operationId} ${status}`, (seen.get(`${operation.operationId} ${status}`) ?? 0) + 1);
    if ((status === 201 || status === 200) && text.startsWith('{')) world.learn(text);
  };
  const makeCalls = async (calls: fc.Arbitrary<Drawn>, from: number): Promise<void> => {
    await world.renew();
    const rest = fc.sample(calls, { numRuns: batch, seed: from }).values();
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (const drawn of rest) await check(drawn);
      }),
    );
  };
  for (let done = 0; done < howMany; done += batch) await makeCalls(anyCall, seed + done);
  // Random calls get somewhere, or they would prove little. Where chance has not led yet, it is tried some more.
  const aims = ['requestAccess 201', 'decideRequest 200', 'issueCredential 201', 'revokeGrant 200', 'putTenant 201'];
  for (const aim of aims) {
    const route = routes.find(({ operation }) => operation.operationId === aim.split(' ')[0])!;
    for (let more = 1; !seen.has(aim) && more <= mostMore; more++) await makeCalls(callsOf(route), seed - more);
    assert.ok(seen.has(aim), `no call came as far as ${aim}`);
  }

  assert.deepEqual(Object.fromEntries(wrong), {}, `5xx or undocumented answers, of seed ${seed}`);
  assert.equal((await broker.call(null, 'GET', '/readyz')).status, 200);
  await broker.checkLedger();
});
