import { Type } from 'typebox';
import { runCommand, type Idempotency } from '../../broker/command.ts';
import { cancelRequest } from '../../broker/cancel-request.ts';
import type { Journal } from '../../broker/journal.ts';
import { decideRequest } from '../../broker/decide-request.ts';
import type { Outcome } from '../../broker/make-grant.ts';
import { decidingTeams } from '../../broker/people.ts';
import { requestAccess } from '../../broker/request-access.ts';
import { requireVisible, seenInList } from '../../broker/see.ts';
import { LatchkeyError, invalid } from '../../domain/errors.ts';
import type { RequestId } from '../../domain/ids.ts';
import { requestStates } from '../../domain/request.ts';
import type { Narrow } from '../../domain/terms.ts';
import { findRequest, listApprovable, listRequests, type StoredRequest } from '../../store/requests.ts';
import { aliasesOf, namesAround, namesOf } from '../../store/persons.ts';
import { fixedTenant } from '../../store/tenants.ts';
import type { Tx } from '../../store/transaction.ts';
import type { Caller } from '../../broker/context.ts';
import type { HttpContext } from '../context.ts';
import { requestExample } from '../examples.ts';
import { listed, pageAnswer, pageOf, whatOneMaySee } from '../lists.ts';
import { route, type Answer, type Route } from '../route.ts';
import * as schemas from '../schemas.ts';
import { showRequest, showRequests } from '../show.ts';
import { personActor, readDuration, readTime } from './read.ts';

const { oneOf } = schemas;
const params = Type.Object({ id: schemas.id('request') });
const answer = { description: 'the request', schema: schemas.RequestShape, example: requestExample };
const longestWait = 60;
/** Other brokers' changes are found by looking again this often, in milliseconds. */
const lookEvery = 1_000;

export function requestRoutes(context: HttpContext): Route[] {
  const { broker } = context;

  const find = async (caller: Caller, id: RequestId): Promise<StoredRequest> => {
    const stored = await findRequest(broker.pool, id);
    const tenant = stored && (await fixedTenant(broker.pool, stored.request.tenant));
    if (!stored || !tenant) throw new LatchkeyError('not-found', 'there is no such request');
    requireVisible(broker, caller, 'requests', { owner: stored.request.requester, tenantSlug: tenant.slug });
    return stored;
  };

  /** Runs a use case on a request and answers with the request as it then stands. */
  const onRequest = (
    caller: Caller,
    idempotency: Idempotency | null,
    id: RequestId,
    work: (tx: Tx, journal: Journal) => Promise<Outcome>,
  ): Promise<Answer> =>
    runCommand(broker, { actor: personActor(caller), idempotency }, async (tx, journal) => {
      // What the answer needs of others is asked for on the first way to the database; the lock is taken before.
      const [{ request, made }, names] = await Promise.all([work(tx, journal), namesAround(tx, id, caller.id)]);
      return { status: 200, body: await showRequest(tx, request, { names, made }) };
    });

  return [
    route({
      method: 'post',
      path: '/v1/requests',
      id: 'requestAccess',
      tag: 'Requests',
      summary: 'Ask for access',
      audience: 'person',
      rule: 'policy decides: `request` on every device, all or nothing',
      query: schemas.queryOf({ dryRun: Type.Optional(oneOf(['true', 'false'] as const)) }),
      body: schemas.AccessWish,
      bodyExample: {
        profile: 'remediate',
        devices: requestExample.devices,
        duration: 'PT30M',
        reason: 'panel frozen',
        ticket: 'INC0012345',
      },
      answers: {
        201: { ...answer, description: 'the request, pending or already granted' },
        200: { ...answer, description: 'with `dryRun=true`: what the call would have answered' },
      },
      problems: ['invalid-request', 'not-permitted', 'conflict'],
      async handle({ caller, query, body, idempotency }) {
        const dryRun = query.dryRun === 'true';
        const wish = {
          profile: body.profile,
          devices: body.devices,
          duration: readDuration(body.duration, '/duration'),
          reason: body.reason,
          ticket: body.ticket ?? null,
          startsAt: body.startsAt === undefined ? null : readTime(body.startsAt, '/startsAt'),
        };
        return runCommand(broker, { actor: personActor(caller), dryRun, idempotency }, async (tx, journal) => {
          const [{ request, made }, names] = await Promise.all([
            requestAccess(broker, tx, journal, caller, wish),
            namesOf(tx, [caller.id]),
          ]);
          return {
            status: dryRun ? 200 : 201,
            body: await showRequest(tx, request, { names, made }),
            headers: dryRun ? {} : { Location: `/v1/requests/${request.id}` },
          };
        });
      },
    }),

    route({
      method: 'get',
      path: '/v1/requests',
      id: 'listRequests',
      tag: 'Requests',
      summary: 'Requests of your own, that you may decide, or that you may see',
      audience: 'person',
      rule: whatOneMaySee,
      query: schemas.queryOf({
        state: Type.Optional(Type.Array(oneOf(requestStates), { maxItems: 10 })),
        view: Type.Optional(oneOf(['mine', 'approvable', 'all'] as const)),
        tenant: Type.Optional(schemas.TenantRef),
        ...schemas.paging,
      }),
      answers: pageAnswer(schemas.RequestShape, requestExample),
      problems: ['invalid-request', 'not-permitted'],
      async handle({ caller, query }) {
        const { view = 'mine', state: states = [], tenant = null } = query;
        const read =
          view === 'approvable'
            ? await approvable(caller, tenant, states)
            : listing(seenInList(broker, caller, 'requests', view), states, tenant);
        return listed(
          pageOf('request', query),
          read,
          ({ request }) => request.id,
          (items) =>
            showRequests(
              broker.pool,
              items.map(({ request }) => request),
            ),
        );
      },
    }),

    route({
      method: 'get',
      path: '/v1/requests/{id}',
      id: 'getRequest',
      tag: 'Requests',
      summary: 'A request; with `wait`, as soon as it changes, or at once when it is decided',
      audience: 'person',
      rule: 'the requester, and whoever policy lets see requests of that tenant',
      params,
      query: schemas.queryOf({
        wait: Type.Optional(Type.Integer({ minimum: 0, maximum: longestWait, description: 'seconds' })),
      }),
      answers: { 200: answer },
      problems: ['invalid-request', 'not-found'],
      async handle({ caller, params, query, request: call }) {
        let found = await find(caller, params.id);
        const deadline = performance.now() + (query.wait ?? 0) * 1000;
        const gone = new AbortController();
        call.once('close', () => gone.abort());
        const before = fingerprint(found);
        while (
          performance.now() < deadline &&
          found.request.state === 'pending' &&
          fingerprint(found) === before &&
          !gone.signal.aborted &&
          context.ready()
        ) {
          const left = Math.min(lookEvery, deadline - performance.now(), untilLapse(found));
          await context.requestWatch.next(params.id, Math.max(1, left), gone.signal);
          found = await find(caller, params.id);
        }
        return { status: 200, body: await showRequest(broker.pool, found.request) };
      },
    }),

    route({
      method: 'post',
      path: '/v1/requests/{id}/decisions',
      id: 'decideRequest',
      tag: 'Requests',
      summary: 'Approve or deny',
      audience: 'person',
      rule: 'policy decides: `decide` on a stage; never one’s own, no human for two stages',
      params,
      body: schemas.DecisionWish,
      bodyExample: { verdict: 'approve', comment: 'go ahead', narrow: { duration: 'PT15M' } },
      answers: { 200: answer },
      problems: ['invalid-request', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, params, body, idempotency }) {
        const say = {
          verdict: body.verdict,
          stage: body.stage ?? null,
          comment: body.comment ?? null,
          narrow: body.narrow && Object.keys(body.narrow).length > 0 ? readNarrow(body.narrow) : null,
        };
        if (say.verdict === 'deny' && say.narrow) throw invalid('/narrow', 'only an approval can narrow');
        return onRequest(caller, idempotency, params.id, (tx, journal) =>
          decideRequest(broker, tx, journal, caller, params.id, say),
        );
      },
    }),

    route({
      method: 'post',
      path: '/v1/requests/{id}/cancel',
      id: 'cancelRequest',
      tag: 'Requests',
      summary: 'Take a request back',
      audience: 'person',
      rule: 'its requester only',
      params,
      body: schemas.Empty,
      answers: { 200: answer },
      problems: ['invalid-request', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, params, idempotency }) {
        return onRequest(caller, idempotency, params.id, async (tx, journal) => ({
          request: await cancelRequest(broker, tx, journal, caller, params.id),
          made: null,
        }));
      },
    }),
  ];

  async function approvable(
    caller: Caller,
    tenant: string | null,
    states: readonly string[],
  ): Promise<(page: ReturnType<typeof pageOf<'request'>>) => Promise<StoredRequest[]>> {
    const teams = decidingTeams(broker, caller);
    if (teams.length === 0) throw new LatchkeyError('not-permitted', 'there are no requests for you to decide');
    if (states.length > 0 && !states.includes('pending')) return async () => [];
    const persons = [...(await aliasesOf(broker.pool, caller.id))];
    return (page) => listApprovable(broker.pool, { teams, persons, tenant }, page);
  }

  function listing(
    seen: ReturnType<typeof seenInList>,
    states: (typeof requestStates)[number][],
    tenant: string | null,
  ): (page: ReturnType<typeof pageOf<'request'>>) => Promise<StoredRequest[]> {
    return (page) => listRequests(broker.pool, { seen, states, tenant }, page);
  }
}

function fingerprint({ request }: StoredRequest): string {
  return `${request.state} ${request.decisions.length}`;
}

function untilLapse({ request, now }: StoredRequest): number {
  return request.state === 'pending' ? Math.max(1, request.lapsesAt.getTime() - now.getTime()) : Infinity;
}

function readNarrow(narrow: { duration?: string; scopes?: string[]; devices?: Narrow['devices'] }): Narrow {
  return {
    ...(narrow.scopes && { scopes: narrow.scopes }),
    ...(narrow.devices && { devices: narrow.devices }),
    ...(narrow.duration !== undefined && { duration: readDuration(narrow.duration, '/narrow/duration') }),
  };
}
