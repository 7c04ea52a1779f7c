import { Type } from 'typebox';
import type { HttpContext } from '../context.ts';
import { openApiDocument } from '../openapi.ts';
import { route, type Route } from '../route.ts';

const open = 'public';

/** What anyone may read: keys, how to sign in, this API's document, and whether the broker is well. */
export function wellKnownRoutes(context: HttpContext, all: () => readonly Route[]): Route[] {
  const { keys, issuer } = context.broker;
  const health = Type.Object({ status: Type.String() });
  const readiness = Type.Object({
    status: Type.String(),
    /** What it would need and does not have: without its vault it goes on with what is loaded. */
    missing: Type.Array(Type.String()),
    vault: Type.Optional(Type.Object({ circuit: Type.String(), awaySince: Type.Union([Type.String(), Type.Null()]) })),
  });
  let document: string | undefined;
  return [
    route({
      method: 'get',
      path: '/livez',
      id: 'isAlive',
      tag: 'Operation',
      summary: 'Whether the process lives',
      audience: 'anyone',
      unlimited: true,
      rule: open,
      answers: { 200: { description: 'it does', schema: health, example: { status: 'alive' } } },
      problems: [],
      handle: async () => ({ status: 200, body: { status: 'alive' } }),
    }),
    route({
      method: 'get',
      path: '/readyz',
      id: 'isReady',
      tag: 'Operation',
      summary: 'Whether it can take traffic',
      audience: 'anyone',
      unlimited: true,
      rule: open,
      answers: {
        200: {
          description: 'it can, and what is missing all the same',
          schema: readiness,
          example: { status: 'ready', missing: [], vault: { circuit: 'closed', awaySince: null } },
        },
        503: {
          description: 'it cannot: starting, draining, or without its database',
          schema: readiness,
          example: { status: 'not ready', missing: ['database'] },
        },
      },
      problems: [],
      handle: async () => {
        const hasDatabase = await context.databaseAnswers();
        const ready = context.ready() && hasDatabase;
        const { circuit, awaySince } = context.vaultHealth();
        const missing = [hasDatabase ? [] : ['database'], awaySince === null ? [] : ['vault']].flat();
        const vault = { circuit, awaySince: awaySince?.toISOString() ?? null };
        return {
          status: ready ? 200 : 503,
          body: { status: ready ? 'ready' : 'not ready', missing, vault },
          headers: { 'Cache-Control': 'no-store' },
        };
      },
    }),
    route({
      method: 'get',
      path: '/.well-known/jwks.json',
      id: 'getKeys',
      tag: 'Keys',
      summary: 'The broker’s public keys that count now, each with the types of JWT it may sign',
      audience: 'anyone',
      unlimited: true,
      rule: open,
      answers: {
        200: {
          description: 'a JWK set; a copy may be kept for 60 s. A key is in it some minutes before it signs',
          schema: Type.Object({ keys: Type.Array(Type.Record(Type.String(), Type.Unknown())) }),
          example: {
            keys: [
              { kty: 'EC', crv: 'P-256', x: '…', y: '…', kid: '…', use: 'sig', alg: 'ES256', latchkey_typ: ['at+jwt'] },
            ],
          },
        },
      },
      problems: [],
      handle: async () => ({
        status: 200,
        body: { keys: [keys.credential, keys.statement].flatMap((r) => r.published().map((key) => key.publicJwk)) },
        headers: { 'Cache-Control': 'public, max-age=60' },
      }),
    }),
    route({
      method: 'get',
      path: '/v1/sign-in',
      id: 'howToSignIn',
      tag: 'People',
      summary: 'Where people sign in',
      audience: 'anyone',
      rule: open,
      answers: {
        200: {
          description: 'the identity providers, and the client that a command line may be',
          schema: Type.Object({
            providers: Type.Array(
              Type.Object({
                issuer: Type.String(),
                audience: Type.String(),
                clientId: Type.Union([Type.String(), Type.Null()]),
              }),
            ),
          }),
          example: {
            providers: [
              { issuer: 'https://login.example/tenant/v2.0', audience: 'latchkey', clientId: 'latchkey-cli' },
            ],
          },
        },
      },
      problems: [],
      handle: async () => {
        const providers = context.identityProviders.map((p) => ({
          issuer: p.issuer,
          audience: p.audience,
          clientId: p.clients?.[0] ?? null,
        }));
        return { status: 200, body: { providers } };
      },
    }),
    route({
      method: 'get',
      path: '/openapi.json',
      id: 'getDocument',
      tag: 'Operation',
      summary: 'This document',
      audience: 'anyone',
      unlimited: true,
      rule: open,
      answers: {
        200: {
          description: 'OpenAPI 3.1',
          schema: Type.Record(Type.String(), Type.Unknown()),
          example: { openapi: '3.1.0' },
        },
      },
      problems: [],
      handle: async () => ({
        status: 200,
        body: (document ??= JSON.stringify(openApiDocument(all(), issuer))),
        headers: { 'Content-Type': 'application/json; charset=utf-8' },
      }),
    }),
  ];
}
