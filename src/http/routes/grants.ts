import { createHash } from 'node:crypto';
import { Type } from 'typebox';
import { runCommand, type Idempotency } from '../../broker/command.ts';
import type { Caller } from '../../broker/context.ts';
import { releaseGrant, revokeGrant } from '../../broker/end-grant.ts';
import { requestExtension } from '../../broker/extend-grant.ts';
import { issueCredential } from '../../broker/issue-credential.ts';
import type { Journal } from '../../broker/journal.ts';
import { reviewGrant } from '../../broker/review-grant.ts';
import { requireVisible, seenInList } from '../../broker/see.ts';
import { verifyDpopProof } from '../../domain/dpop.ts';
import { LatchkeyError } from '../../domain/errors.ts';
import { grantStates, requireActive } from '../../domain/grant.ts';
import type { GrantId } from '../../domain/ids.ts';
import { findGrant, listGrants } from '../../store/grants.ts';
import { fixedTenant } from '../../store/tenants.ts';
import type { Tx } from '../../store/transaction.ts';
import type { HttpContext } from '../context.ts';
import { grantExample, requestExample } from '../examples.ts';
import { listed, pageAnswer, pageOf, whatOneMaySee } from '../lists.ts';
import { route, type Answer, type Route } from '../route.ts';
import * as schemas from '../schemas.ts';
import { showGrants, showRequest } from '../show.ts';
import { personActor, readDuration } from './read.ts';

const { oneOf } = schemas;
const params = Type.Object({ id: schemas.id('grant') });
const answer = { description: 'the grant', schema: schemas.GrantShape, example: grantExample };
/** A proof is refused when it is older, so it need not be remembered for longer (seconds). */
const proofAge = 60;
const proofFuture = 10;

export function grantRoutes(context: HttpContext): Route[] {
  const { broker } = context;

  /** Runs a use case on a grant and answers with the grant as it then stands. */
  const onGrant = (
    caller: Caller,
    id: GrantId,
    idempotency: Idempotency | null,
    work: (tx: Tx, journal: Journal) => Promise<unknown>,
  ): Promise<Answer> =>
    runCommand(broker, { actor: personActor(caller), idempotency }, async (tx, journal) => {
      await work(tx, journal);
      journal.write(tx);
      const [body] = await showGrants(tx, [(await findGrant(tx, id))!]);
      return { status: 200, body };
    });

  return [
    route({
      method: 'get',
      path: '/v1/grants',
      id: 'listGrants',
      tag: 'Grants',
      summary: 'Grants of your own, or that you may see',
      audience: 'person',
      rule: whatOneMaySee,
      query: schemas.queryOf({
        state: Type.Optional(Type.Array(oneOf(grantStates), { maxItems: 10 })),
        view: Type.Optional(oneOf(['mine', 'all'] as const)),
        device: Type.Optional(schemas.id('device')),
        tenant: Type.Optional(schemas.TenantRef),
        ...schemas.paging,
      }),
      answers: pageAnswer(schemas.GrantShape, grantExample),
      problems: ['invalid-request', 'not-permitted'],
      async handle({ caller, query }) {
        const { view = 'mine', state: states = [], device = null, tenant = null } = query;
        const seen = seenInList(broker, caller, 'grants', view);
        return listed(
          pageOf('grant', query),
          (page) => listGrants(broker.pool, { seen, states, device, tenant }, page),
          ({ grant }) => grant.id,
          (items) => showGrants(broker.pool, items),
        );
      },
    }),

    route({
      method: 'get',
      path: '/v1/grants/{id}',
      id: 'getGrant',
      tag: 'Grants',
      summary: 'A grant',
      audience: 'person',
      rule: 'its holder, and whoever policy lets see grants of that tenant',
      params,
      answers: { 200: answer },
      problems: ['not-found'],
      async handle({ caller, params }) {
        const stored = await findGrant(broker.pool, params.id);
        const tenant = stored && (await fixedTenant(broker.pool, stored.grant.tenant));
        if (!stored || !tenant) throw new LatchkeyError('not-found', 'there is no such grant');
        requireVisible(broker, caller, 'grants', { owner: stored.grant.person, tenantSlug: tenant.slug });
        const [body] = await showGrants(broker.pool, [stored]);
        return { status: 200, body };
      },
    }),

    route({
      method: 'post',
      path: '/v1/grants/{id}/credentials',
      id: 'issueCredential',
      tag: 'Grants',
      summary: 'Get a credential for one device of a grant',
      audience: 'person',
      rule: 'its holder only, with a DPoP proof; policy is asked again: `mint`',
      params,
      body: schemas.CredentialWish,
      bodyExample: { device: grantExample.devices[0] },
      answers: {
        201: {
          description: 'the credential',
          schema: schemas.CredentialShape,
          example: {
            credential: 'eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.e30.c2lnbmF0dXJl',
            tokenType: 'DPoP',
            expiresAt: '2026-03-01T09:36:12.000Z',
            receipt:
              'c2sp.org/tlog-proof@v1\nextra …\nindex 41\n…\n\nlatchkey.example/eu\n42\n…\n\n— latchkey.example/eu …\n',
          },
        },
      },
      problems: ['invalid-request', 'invalid-dpop-proof', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, params, body, idempotency, request }) {
        const now = Date.now();
        const proof = verifyDpopProof({
          proof: request.headersDistinct.dpop,
          method: 'POST',
          url: `${broker.issuer}/v1/grants/${params.id}/credentials`,
          now,
          maxAgeSeconds: proofAge,
          maxFutureSeconds: proofFuture,
        });
        if (!proof.ok) throw new LatchkeyError('invalid-dpop-proof', proof.reason);
        const { jkt, replayKey } = proof;
        const expiresAt = new Date(now + (proofAge + proofFuture + 60) * 1000);
        const bound = idempotency && { ...idempotency, bodyHash: bodyAndKey(idempotency.bodyHash, jkt) };
        const issued = await runCommand(broker, { actor: personActor(caller), idempotency: bound }, (tx, journal) =>
          issueCredential(broker, tx, journal, caller, params.id, body.device, { jkt, replayKey, expiresAt }),
        );
        // If we stop here, the credential is in the ledger and nobody has it.
        const receipt = await broker.ledger.receiptFor(issued.event, Buffer.from(issued.leaf, 'base64'));
        const stored = await findGrant(broker.pool, params.id);
        requireActive(stored!.grant);
        return {
          status: 201,
          headers: { 'Cache-Control': 'no-store' },
          body: { credential: issued.credential, tokenType: 'DPoP', expiresAt: issued.expiresAt, receipt },
        };
      },
    }),

    route({
      method: 'post',
      path: '/v1/grants/{id}/extensions',
      id: 'requestExtension',
      tag: 'Grants',
      summary: 'Ask for more time',
      audience: 'person',
      rule: 'its holder only; policy decides: `extend`; the same stages as the first time',
      params,
      body: schemas.ExtensionWish,
      bodyExample: { duration: 'PT30M', reason: 'firmware still copying' },
      answers: {
        201: {
          description: 'a request like any other',
          schema: schemas.RequestShape,
          example: { ...requestExample, extends: grantExample.id },
        },
      },
      problems: ['invalid-request', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, params, body, idempotency }) {
        const wish = { duration: readDuration(body.duration, '/duration'), reason: body.reason };
        return runCommand(broker, { actor: personActor(caller), idempotency }, async (tx, journal) => {
          const request = await requestExtension(broker, tx, journal, caller, params.id, wish);
          return {
            status: 201,
            headers: { Location: `/v1/requests/${request.id}` },
            body: await showRequest(tx, request),
          };
        });
      },
    }),

    route({
      method: 'post',
      path: '/v1/grants/{id}/revoke',
      id: 'revokeGrant',
      tag: 'Grants',
      summary: 'End a grant against its holder’s will',
      audience: 'person',
      rule: 'policy decides: `revoke`; never the holder, who releases',
      params,
      body: schemas.RevocationWish,
      bodyExample: { reason: 'the meeting starts early' },
      answers: { 200: answer },
      problems: ['invalid-request', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, params, body, idempotency }) {
        return onGrant(caller, params.id, idempotency, (tx, journal) =>
          revokeGrant(broker, tx, journal, caller, params.id, body.reason),
        );
      },
    }),

    route({
      method: 'post',
      path: '/v1/grants/{id}/release',
      id: 'releaseGrant',
      tag: 'Grants',
      summary: 'Give a grant back',
      audience: 'person',
      rule: 'its holder only',
      params,
      body: schemas.Empty,
      answers: { 200: answer },
      problems: ['invalid-request', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, params, idempotency }) {
        return onGrant(caller, params.id, idempotency, (tx, journal) =>
          releaseGrant(broker, tx, journal, caller, params.id),
        );
      },
    }),

    route({
      method: 'post',
      path: '/v1/grants/{id}/review',
      id: 'reviewGrant',
      tag: 'Grants',
      summary: 'Say whether a break-glass grant was justified',
      audience: 'person',
      rule: 'policy decides: `review`; another human than the holder',
      params,
      body: schemas.ReviewWish,
      bodyExample: { verdict: 'justified', comment: 'the board was waiting' },
      answers: { 200: answer },
      problems: ['invalid-request', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, params, body, idempotency }) {
        const said = { verdict: body.verdict, comment: body.comment ?? null };
        return onGrant(caller, params.id, idempotency, (tx, journal) =>
          reviewGrant(broker, tx, journal, caller, params.id, said),
        );
      },
    }),
  ];
}

/** A credential is answered again only to the key it is bound to. */
function bodyAndKey(bodyHash: Buffer, jkt: string): Buffer {
  return createHash('sha256').update(bodyHash).update(jkt).digest();
}
