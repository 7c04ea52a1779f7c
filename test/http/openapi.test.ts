import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { HttpContext } from '../../src/http/context.ts';
import { apiRoutes } from '../../src/http/routes/index.ts';
import {
  apiDocument,
  routesOf,
  type ApiDocument,
  type Content,
  type DocumentedRoute,
} from '../support/api-document.ts';
import { newTestBroker, type Reply, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';

let broker: TestBroker;
let document: ApiDocument;
const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true, unicodeRegExp: true });
let routes: DocumentedRoute[];
before(async () => {
  broker = await newTestBroker();
  document = await apiDocument(broker);
  routes = routesOf(document);
  for (const [name, shared] of Object.entries(document.components.schemas)) {
    ajv.addSchema(shared, `#/components/schemas/${name}`);
  }
});
after(() => broker.stop());

const methods = ['GET', 'PUT', 'POST', 'DELETE', 'PATCH'];
const named = ({ method, path }: { method: string; path: string }): string => `${method} ${path}`;

/** A check of a value against a schema of the document, with its references. */
function mistakesOf(schema: unknown, value: unknown): string[] {
  const validate = ajv.compile(schema as object);
  return validate(value) ? [] : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
}

function examplesOf(content: Content): unknown[] {
  const several = Object.values(content.examples ?? {}).map(({ value }) => value);
  return content.example === undefined ? several : [content.example, ...several];
}

describe('the document', () => {
  test('is OpenAPI 3.1 in its outline', () => {
    assert.match(document.openapi, /^3\.1\.\d+$/);
    for (const member of ['title', 'version', 'description', 'license']) assert.ok(document.info[member], member);
    assert.deepEqual(document.servers, [{ url: broker.config.publicUrl }]);
    const known = ['openapi', 'info', 'servers', 'tags', 'paths', 'components'];
    assert.deepEqual(
      Object.keys(document).filter((member) => !known.includes(member)),
      [],
    );
    for (const scheme of Object.values(document.components.securitySchemes)) {
      assert.equal(scheme['type'], 'http');
      assert.equal(scheme['scheme'], 'bearer');
    }
    const tags = document.tags.map(({ name }) => name);
    assert.equal(new Set(tags).size, tags.length, 'a tag is listed twice');
    for (const route of routes) for (const tag of route.operation.tags) assert.ok(tags.includes(tag), named(route));
    const ids = routes.map(({ operation }) => operation.operationId);
    assert.deepEqual(
      ids.filter((id, index) => ids.indexOf(id) !== index),
      [],
      'operations of one id',
    );
  });

  test('has no reference that leads nowhere', () => {
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference!);
    assert.ok(references.length > 0);
    for (const reference of references) {
      const [, name = ''] = /^#\/components\/schemas\/(\w+)$/.exec(reference) ?? [];
      assert.ok(document.components.schemas[name], reference);
    }
  });

  test('speaks of what is served, and of nothing else', () => {
    const context = { broker: broker.brokers[0]!.context } as HttpContext;
    const served = apiRoutes(context).map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    assert.deepEqual(routes.map(named).sort(), served.toSorted());
  });

  test('of each path it names every method that is answered', async () => {
    for (const [path, operations] of Object.entries(document.paths)) {
      const here = path.replace('tile/{path}', 'tile/0/000.p/1').replaceAll(/\{\w+\}/g, 'x');
      for (const method of methods.filter((method) => !(method.toLowerCase() in operations))) {
        const { status, headers } = await broker.call(null, method, here);
        assert.equal(status, 405, `${method} ${path}`);
        const offered = (headers.get('allow') ?? '').split(', ').filter((each) => each !== 'HEAD');
        assert.deepEqual(
          offered.sort(),
          Object.keys(operations)
            .map((each) => each.toUpperCase())
            .sort(),
          path,
        );
      }
      for (const method of Object.keys(operations)) {
        if (path.endsWith('/stream')) continue;
        const { status } = await broker.call(null, method.toUpperCase(), here);
        assert.ok(![404, 405].includes(status), `${method} ${path} is documented and answers ${status}`);
      }
    }
  });
});

describe('every operation', () => {
  test('says what it does, who may, and how they show who they are', () => {
    for (const route of routes) {
      const { operation } = route;
      assert.match(operation.operationId, /^[a-z][A-Za-z]+$/, named(route));
      assert.ok(operation.summary.length > 3, named(route));
      assert.equal(operation.tags.length, 1, named(route));
      assert.ok(operation['x-authorization']?.length > 3, `${named(route)} has no authorization rule`);
      assert.ok(Array.isArray(operation.security), `${named(route)} does not say how it is secured`);
      for (const scheme of operation.security.flatMap((each) => Object.keys(each))) {
        assert.ok(document.components.securitySchemes[scheme], `${named(route)}: ${scheme}`);
      }
    }
  });

  test('that anyone may call is one that has to be public', () => {
    const open = routes.filter(({ operation }) => operation.security.length === 0).map(named);
    const expected = [
      'GET /.well-known/jwks.json',
      'GET /ledger/checkpoint',
      'GET /ledger/tile/{path}',
      'GET /v1/ledger/consistency',
      'GET /v1/ledger/keys',
      'GET /v1/ledger/proof',
      'GET /livez',
      'GET /openapi.json',
      'GET /readyz',
      'GET /v1/sign-in',
    ];
    assert.deepEqual(open.sort(), [...expected, 'POST /oauth2/token', 'POST /v1/devices'].sort());
  });

  test('describes each of its parameters', () => {
    for (const route of routes) {
      const { parameters } = route.operation;
      const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
      const described = parameters.filter((parameter) => parameter.in === 'path');
      assert.deepEqual(described.map(({ name }) => name).sort(), inPath.sort(), named(route));
      for (const parameter of described) assert.equal(parameter.required, true, named(route));
      for (const { name, schema } of parameters) {
        assert.ok(schema && Object.keys(schema).length > 0, `${named(route)}: ${name} has no schema`);
        assert.doesNotThrow(() => mistakesOf(schema, ''), `${named(route)}: ${name}`);
      }
      const places = parameters.map((parameter) => `${parameter.in} ${parameter.name}`);
      assert.equal(new Set(places).size, places.length, named(route));
    }
  });

  test('that changes something takes a body with a schema, closed against what it does not know', () => {
    for (const route of routes) {
      const { requestBody } = route.operation;
      if (['GET', 'DELETE'].includes(route.method)) {
        assert.equal(requestBody, undefined, named(route));
        continue;
      }
      const contents = Object.entries(requestBody?.content ?? {});
      assert.equal(contents.length, 1, named(route));
      const [type, { schema }] = contents[0]!;
      assert.equal(schema?.type, 'object', named(route));
      // OAuth tells servers to pass over parameters that they do not know (RFC 6749 §3.2).
      if (type === 'application/json') assert.equal(schema.additionalProperties, false, named(route));
    }
  });

  test('shows what it takes, and the example is one that it would take', () => {
    for (const route of routes) {
      for (const content of Object.values(route.operation.requestBody?.content ?? {})) {
        const empty = Object.keys(content.schema?.properties ?? {}).length === 0;
        const examples = examplesOf(content);
        assert.ok(empty || examples.length > 0, `${named(route)} shows no body`);
        for (const example of examples) assert.deepEqual(mistakesOf(content.schema, example), [], named(route));
      }
    }
  });

  test('shows each of its answers, and the example is as the schema says', () => {
    for (const route of routes) {
      const good = Object.entries(route.operation.responses).filter(([status]) => status.startsWith('2'));
      assert.ok(good.length > 0, `${named(route)} never succeeds`);
      for (const [status, response] of Object.entries(route.operation.responses)) {
        const place = `${named(route)} ${status}`;
        assert.ok(response.description, place);
        const contents = Object.values(response.content ?? {});
        assert.equal(contents.length, status === '204' ? 0 : 1, place);
        for (const content of contents) {
          assert.ok(content.schema, place);
          const examples = examplesOf(content);
          assert.ok(examples.length > 0, `${place} shows nothing`);
          for (const example of examples) assert.deepEqual(mistakesOf(content.schema, example), [], place);
        }
      }
    }
  });

  test('lists the problems that it can answer, each as a problem document', () => {
    for (const route of routes) {
      const { operation, path } = route;
      const statuses = Object.keys(operation.responses).map(Number);
      const needed = [400, 429, 500, 503];
      if (operation.security.length > 0) needed.push(401);
      if (path.includes('{')) needed.push(404);
      if (operation.requestBody) needed.push(408, 413, 415);
      if (route.method === 'POST' && operation.security.some((scheme) => 'person' in scheme)) needed.push(409);
      for (const status of needed) assert.ok(statuses.includes(status), `${named(route)} does not list ${status}`);
      for (const [status, { content = {} }] of Object.entries(operation.responses)) {
        if (Number(status) < 400 || path === '/readyz' || path.startsWith('/oauth2/')) continue;
        assert.deepEqual(Object.keys(content), ['application/problem+json'], `${named(route)} ${status}`);
        for (const example of examplesOf(content['application/problem+json']!)) {
          assert.equal((example as { status: number }).status, Number(status), named(route));
        }
      }
    }
  });
});

test('what is really answered in the course of the main job is as documented', async () => {
  const seen: string[] = [];
  const call: TestBroker['call'] = async (who, method, path, body, options) => {
    const reply = await broker.call(who, method, path, body, options);
    const bare = path.split('?')[0]!;
    const route = routes.find(
      (each) => each.method === method && new RegExp(`^${each.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(bare),
    );
    assert.ok(route, `${method} ${path} is not documented`);
    const response = route.operation.responses[reply.status];
    assert.ok(response, `${named(route)} answers ${reply.status}, undocumented: ${JSON.stringify(reply.body)}`);
    const type = reply.headers.get('content-type')?.split(';')[0];
    const content = type === undefined ? undefined : response.content?.[type];
    if (type !== undefined) {
      assert.ok(content, `${named(route)} ${reply.status} has the type \`${type}\``);
      assert.deepEqual(mistakesOf(content.schema, reply.body), [], `${named(route)} ${reply.status}`);
    }
    seen.push(route.operation.operationId);
    return reply;
  };
  const { contoso } = broker;
  const [device] = contoso.devices;
  for (const path of [
    '/livez',
    '/readyz',
    '/.well-known/jwks.json',
    '/v1/ledger/keys',
    '/v1/sign-in',
    '/openapi.json',
  ]) {
    await call(null, 'GET', path);
  }
  for (const path of ['/v1/me', '/v1/profiles', '/v1/notices', '/v1/alarms', '/v1/policies', '/v1/tenants']) {
    for (const who of ['ada', 'chloe', 'carmen', 'nobody', null] as const) await call(who, 'GET', path);
  }
  const wish = { profile: 'remediate', devices: [device!.id], duration: 'PT10M', reason: 'frozen', ticket: 'INC1' };
  await call('ada', 'POST', '/v1/requests?dryRun=true', wish);
  await call('zed', 'POST', '/v1/requests', wish);
  await call('ada', 'POST', '/v1/requests', { ...wish, extra: 1 });
  const asked = (): Promise<Reply> => call('ada', 'POST', '/v1/requests', wish);
  const cancelled = (await asked()).body;
  await call('ada', 'POST', `/v1/requests/${cancelled.id}/cancel`);
  const denied = (await asked()).body;
  await call('chloe', 'POST', `/v1/requests/${denied.id}/decisions`, { verdict: 'deny', comment: 'not now' });
  const { id } = (await asked()).body;
  const narrow = { duration: 'PT9M', scopes: ['device.inspect'] };
  await call('chloe', 'POST', `/v1/requests/${id}/decisions`, { verdict: 'approve', narrow });
  const { grant } = (await call('ada', 'GET', `/v1/requests/${id}?wait=0`)).body;
  const key = await newEngineerKey();
  const mint = `/v1/grants/${grant.id}/credentials`;
  const proof = await key.proof('POST', broker.config.publicUrl + mint);
  await call('ada', 'POST', mint, { device: device!.id }, { headers: { dpop: proof } });
  await call('ada', 'POST', mint, { device: device!.id }, { headers: { dpop: proof } });
  await call('ada', 'POST', `/v1/grants/${grant.id}/extensions`, { duration: 'PT5M', reason: 'still copying' });
  for (const path of ['/v1/requests', '/v1/grants']) {
    for (const view of ['mine', 'all'])
      for (const who of ['ada', 'aud', 'carmen'] as const) await call(who, 'GET', `${path}?view=${view}`);
  }
  await call('chloe', 'GET', '/v1/requests?view=approvable');
  await call('chloe', 'POST', `/v1/grants/${grant.id}/revoke`, { reason: 'the meeting starts' });
  await call('ada', 'POST', `/v1/grants/${grant.id}/release`);
  const urgent = (await call('chloe', 'POST', '/v1/requests', { ...wish, profile: 'break-glass' })).body.grant;
  await call('dmitri', 'POST', `/v1/grants/${urgent.id}/review`, { verdict: 'justified' });
  await call('dmitri', 'GET', `/v1/grants/${urgent.id}`);
  await call('olu', 'PUT', '/v1/tenants/initech', { name: 'Initech', region: 'EU' });
  await call('olu', 'PUT', '/v1/tenants/initech', { name: 'Initech', region: 'US' });
  await call('olu', 'GET', '/v1/tenants/initech');
  await call('olu', 'POST', '/v1/enrolment-codes', { tenant: contoso.id });
  await call('olu', 'GET', '/v1/devices?q=boardroom');
  const leaver = await broker.enrol(contoso.id);
  const authorization = `Bearer ${(await leaver.signIn()).body['access_token']}`;
  const asDevice = { headers: { authorization } };
  await call(null, 'PUT', '/v1/agent/state', { inUse: true, door: { url: 'http://127.0.0.1:7000' } }, asDevice);
  await call(null, 'GET', '/v1/agent/live-grants', undefined, asDevice);
  await call('olu', 'GET', `/v1/devices/${leaver.id}`);
  await call('olu', 'DELETE', `/v1/devices/${leaver.id}?erase=true`);
  await call('olu', 'GET', `/v1/devices/${leaver.id}`);
  const persons = [];
  for (const who of ['ada', 'ben'] as const) persons.push((await call(who, 'GET', '/v1/me')).body.id);
  await call('olu', 'PUT', `/v1/persons/${persons[0]}/links/${persons[1]}`);
  await call('olu', 'DELETE', `/v1/persons/${persons[1]}`);
  assert.ok(new Set(seen).size >= 25, `only ${new Set(seen).size} operations were seen`);
  await broker.checkLedger();
});
