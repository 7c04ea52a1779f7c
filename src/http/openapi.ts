import type { TObject, TSchema } from 'typebox';
import type { ErrorCode } from '../domain/errors.ts';
import { oauthErrorOf, problemOf, statusOf } from './problems.ts';
import { LatchkeyError } from '../domain/errors.ts';
import type { Documented, Route } from './route.ts';
import { ProblemShape } from './schemas.ts';

/** What any route can answer besides its own problems. */
const everywhere: readonly ErrorCode[] = ['invalid-request', 'too-many-requests', 'internal', 'unavailable'];
const withBody: readonly ErrorCode[] = ['request-timeout', 'too-large', 'unsupported-media-type'];

/** The codes that a route can answer, each once, in the order of their statuses. */
export function problemsOf(route: Route): ErrorCode[] {
  const codes = new Set<ErrorCode>([...route.problems, ...everywhere]);
  if (route.audience !== 'anyone') codes.add('unauthenticated');
  if (route.body) for (const code of withBody) codes.add(code);
  if (route.params) codes.add('not-found');
  // What `Idempotency-Key` can lead to.
  if (takesIdempotencyKey(route)) codes.add('conflict');
  return [...codes].sort((a, b) => statusOf[a] - statusOf[b]);
}

function takesIdempotencyKey(route: Route): boolean {
  return route.method === 'post' && route.audience === 'person';
}

/** The API's document (OpenAPI 3.1), made of the very schemas that calls are checked with. */
export function openApiDocument(routes: readonly Route[], serverUrl: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method] = operationOf(route);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Latchkey',
      version: '1',
      description:
        'A just-in-time, zero-standing-access broker. People call with an access token of a configured identity provider, devices with a token of their own.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: serverUrl }],
    tags: [...new Set(routes.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        person: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'an access token of a configured identity provider',
        },
        device: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'a token from `/oauth2/token`' },
      },
      schemas: { Problem: ProblemShape },
    },
  };
}

function operationOf(route: Route): object {
  const security = {
    anyone: [],
    person: [{ person: [] }],
    device: [{ device: [] }],
    'person-or-device': [{ person: [] }, { device: [] }],
  };
  const answers = Object.entries(route.answers).map(([status, answer]) => [status, responseOf(answer)] as const);
  const problems = Map.groupBy(problemsOf(route), (code) => String(statusOf[code]));
  return {
    operationId: route.id,
    summary: route.summary,
    tags: [route.tag],
    security: security[route.audience],
    'x-authorization': route.rule,
    parameters: [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query'), ...headersOf(route)],
    ...(route.body && { requestBody: bodyOf(route, route.body) }),
    responses: Object.fromEntries([
      ...answers,
      ...[...problems].map(([status, codes]) => [status, problemResponse(route, codes)] as const),
    ]),
  };
}

function responseOf({ description, schema, example, contentType = 'application/json' }: Documented): object {
  return { description, ...(schema && { content: { [contentType]: { schema, example } } }) };
}

function problemResponse(route: Route, codes: readonly ErrorCode[]): object {
  const description = codes.map((code) => `\`${code}\``).join(' or ');
  const errors = codes.map((code) => [code, new LatchkeyError(code, 'what was wrong, in a sentence')] as const);
  if (route.oauth) {
    const [, error] = errors[0]!;
    return {
      description,
      content: {
        'application/json': {
          schema: {
            type: 'object',
            properties: { error: { type: 'string' }, error_description: { type: 'string' } },
            required: ['error'],
          },
          example: oauthErrorOf(error),
        },
      },
    };
  }
  const examples = Object.fromEntries(errors.map(([code, error]) => [code, { value: problemOf(error) }]));
  return {
    description,
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' }, examples } },
  };
}

function bodyOf(route: Route, schema: TSchema): object {
  const type = route.bodyType === 'form' ? 'application/x-www-form-urlencoded' : 'application/json';
  const required = ((schema as { required?: unknown[] }).required?.length ?? 0) > 0;
  const example = route.bodyExample;
  return { required, content: { [type]: { schema, ...(example !== undefined && { example }) } } };
}

function parametersOf(schema: TObject | null, place: 'path' | 'query'): object[] {
  const required = (schema as { required?: string[] } | null)?.required ?? [];
  return Object.entries(schema?.properties ?? {}).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
    ...(place === 'query' && { style: 'form', explode: true }),
  }));
}

function headersOf(route: Route): object[] {
  const headers: object[] = [];
  if (takesIdempotencyKey(route)) {
    headers.push({
      name: 'Idempotency-Key',
      in: 'header',
      required: false,
      description: 'the same key and call are answered the same for 24 hours',
      schema: { type: 'string', minLength: 1, maxLength: 255 },
    });
  }
  if (route.problems.includes('invalid-dpop-proof')) {
    headers.push({
      name: 'DPoP',
      in: 'header',
      required: true,
      description: 'a proof (RFC 9449)',
      schema: { type: 'string' },
    });
  }
  return headers;
}
