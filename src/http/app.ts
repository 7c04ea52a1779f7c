import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { randomUUID } from 'node:crypto';
import { LatchkeyError } from '../domain/errors.ts';
import type { Caller } from '../broker/context.ts';
import type { DeviceId } from '../domain/ids.ts';
import { answerProblem } from './answer-problem.ts';
import { authenticateDevice, authenticatePerson, looksLikeDevice } from './authenticate.ts';
import { readFormBody, readJsonBody, requireStorable } from './body.ts';
import { logWhenDone } from './call-log.ts';
import type { HttpContext } from './context.ts';
import { createGate, type Gate } from './gate.ts';
import { idempotencyOf } from './idempotency.ts';
import { createRateLimiter, networkOf, type Limiter } from './rate-limit.ts';
import type { Call, Route } from './route.ts';
import { apiRoutes } from './routes/index.ts';
import { securityHeaders } from './security-headers.ts';
import { checker } from './validate.ts';

/** Makes the API. Every route is checked, authenticated, limited and answered here, in this order, and nowhere else. */
export function createApp(context: HttpContext): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple');
  // One path for each thing: `/V1/Grants/` is none.
  app.enable('case sensitive routing').enable('strict routing');
  app.set('trust proxy', context.trustedProxies.length > 0 ? [...context.trustedProxies] : false);
  app.use((request, response, next) => {
    response.setHeaders(securityHeaders);
    const given = request.headers['x-request-id'];
    const id = typeof given === 'string' && /^[\w.-]{8,64}$/.test(given) ? given : randomUUID();
    response.set({ 'X-Request-Id': id, 'Cache-Control': 'no-store' });
    response.locals.requestId = id;
    logWhenDone(context, request, response);
    if (request.httpVersion === '1.1' && request.headers.host === undefined) {
      throw new LatchkeyError('invalid-request', 'the `Host` header is missing');
    }
    next();
  });

  const routes = apiRoutes(context);
  const limits = {
    person: createRateLimiter(context.rateLimits.person),
    device: createRateLimiter(context.rateLimits.device),
    address: createRateLimiter(context.rateLimits.address),
  };
  const fleet = createGate(fleetGate);
  for (const [path, ofPath] of Map.groupBy(routes, (route) => route.path)) {
    const pattern = ofPath[0]!.deep ? path.replace(/\{(\w+)\}$/, '*$1') : path;
    const place = app.route(pattern.replaceAll(/\{(\w+)\}/g, ':$1'));
    for (const route of ofPath) place[route.method](handlerOf(context, route, limits, fleet));
    const allowed = ofPath.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
    place.all((request) => {
      limits.address(addressOf(request));
      request.res?.set('Allow', allowed.join(', '));
      throw new LatchkeyError(
        'method-not-allowed',
        `\`${request.method}\` is not offered here, only ${allowed.join(', ')}`,
      );
    });
  }
  app.use((request) => {
    limits.address(addressOf(request));
    throw new LatchkeyError('not-found', 'there is nothing here');
  });
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    answerProblem(context, error, request, response);
  });
  return app;
}

/** Devices get less than half of the database's connections, however many of them come at once after an outage. */
const fleetGate = { atOnce: 8, longestWait: 2_000, mostWaiting: 1_000, latestInvitation: 20 } as const;

type Limits = Record<'person' | 'device' | 'address', Limiter>;

function handlerOf(
  context: HttpContext,
  route: Route,
  limits: Limits,
  fleet: Gate,
): (request: Request, response: Response) => Promise<void> {
  // Bodies are read outside, so that no slow one keeps others from passing.
  const pass: Gate = route.fleet ? fleet : (work) => work();
  const checks = {
    params: route.params && checker(route.params, 'params'),
    query: checker(route.query ?? { type: 'object', additionalProperties: false }, 'query'),
    body: route.body && checker(route.body, 'body'),
  };
  return async (request, response) => {
    response.locals.route = route.path;
    const isThere = (): boolean => !response.destroyed;
    try {
      const who = await pass(() => authenticate(context, route, request, limits), isThere);
      response.locals.who = who.caller?.id ?? who.device;
      const params = paramsOf(request);
      if (checks.params) checkParams(checks.params, params);
      const query = { ...request.query };
      checks.query(query);
      requireStorable(query);
      const body = checks.body ? await readBody(context, route, request) : undefined;
      checks.body?.(body);
      const idempotency =
        route.method === 'post' && who.caller ? idempotencyOf(request, who.caller.id, body, '') : null;
      const call = { ...who, params, query, body, idempotency, request, response };
      const answer = await pass(() => route.handle(call as unknown as Call<never, never, never>), isThere);
      if (!answer) return;
      if (answer.signedIn) limits.device(answer.signedIn);
      response.status(answer.status).set(answer.headers ?? {});
      if (answer.body === undefined) response.end();
      else if (typeof answer.body === 'string' || Buffer.isBuffer(answer.body)) response.send(answer.body);
      else response.json(answer.body);
    } catch (error) {
      const counts = route.limitsRefusals ?? false;
      answerProblem(context, counts ? charged(error, limits, request) : error, request, response);
    }
  };
}

/** A parameter over several segments is one text again. */
function paramsOf(request: Request): Record<string, string> {
  const entries = Object.entries(request.params as Record<string, string | string[]>);
  return Object.fromEntries(entries.map(([name, value]) => [name, Array.isArray(value) ? value.join('/') : value]));
}

/** The refusal, or that there have been too many of them from there. What is no fault of the caller's is not counted. */
function charged(refusal: unknown, limits: Limits, request: Request): unknown {
  if (refusal instanceof LatchkeyError && refusal.code === 'unavailable') return refusal;
  try {
    limits.address(addressOf(request));
    return refusal;
  } catch (tooMany) {
    return tooMany;
  }
}

function addressOf(request: Request): string {
  return networkOf(request.ip ?? 'unknown');
}

/** An id that is not even well formed is like one that does not exist: 404, so that nobody learns which it was. */
function checkParams(check: (value: unknown) => void, params: unknown): void {
  try {
    check(params);
  } catch {
    throw new LatchkeyError('not-found', 'there is nothing here');
  }
}

async function readBody({ bodyTimeout }: HttpContext, route: Route, request: Request): Promise<unknown> {
  if (route.bodyType === 'form') return { ...(await readFormBody(request, bodyTimeout)) };
  const body = await readJsonBody(request, bodyTimeout);
  // Where every member is optional, so is the body.
  return body === undefined ? {} : body;
}

interface Who {
  readonly caller: Caller | undefined;
  readonly device: DeviceId | undefined;
}

async function authenticate(context: HttpContext, route: Route, request: Request, limits: Limits): Promise<Who> {
  const address = addressOf(request);
  if (route.audience === 'anyone') {
    if (!route.unlimited && !route.limitsRefusals) limits.address(address, route.weight);
    return { caller: undefined, device: undefined };
  }
  const asDevice = route.audience === 'device' || (route.audience === 'person-or-device' && looksLikeDevice(request));
  try {
    if (asDevice) {
      const device = await authenticateDevice(context, request);
      limits.device(device);
      return { caller: undefined, device };
    }
    const caller = await authenticatePerson(context, request);
    limits.person(caller.id, route.weight);
    return { caller, device: undefined };
  } catch (error) {
    if (error instanceof LatchkeyError && error.code === 'unauthenticated') limits.address(address);
    throw error;
  }
}
