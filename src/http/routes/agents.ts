import { Type } from 'typebox';
import { runCommand } from '../../broker/command.ts';
import { recordDeviceEvents } from '../../broker/record-device-events.ts';
import { signInDevice } from '../../broker/sign-in-device.ts';
import { nameOf } from '../../broker/enrol-device.ts';
import { agentTokenLifetime } from '../../credentials/statements.ts';
import { LatchkeyError } from '../../domain/errors.ts';
import { findDevice, updateDeviceState } from '../../store/devices.ts';
import type { HttpContext } from '../context.ts';
import { deviceExample } from '../examples.ts';
import { route, type Route } from '../route.ts';
import * as schemas from '../schemas.ts';
import { showDevice } from '../show.ts';
import { openStream } from '../stream.ts';
import { readDeviceStatement } from './device-statement.ts';
import { doorOf } from './door.ts';

const itself = 'an enrolled device, about itself';
const statement = 'a JWT of type `live-grants+jwt`, signed by the statement key, good for at most 60 s';
const jwtType = 'application/jwt';
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export function agentRoutes(context: HttpContext): Route[] {
  const { broker, liveLists } = context;
  return [
    route({
      method: 'post',
      path: '/oauth2/token',
      id: 'signInDevice',
      tag: 'Agents',
      summary: 'Sign a device in',
      audience: 'anyone',
      rule: 'a client assertion of an enrolled device’s key, used once (RFC 7523)',
      bodyType: 'form',
      body: Type.Object({
        grant_type: Type.String(),
        client_assertion_type: Type.String(),
        client_assertion: Type.String({ maxLength: 8_192 }),
        client_id: Type.Optional(Type.String({ maxLength: 100 })),
      }),
      bodyExample: {
        grant_type: 'client_credentials',
        client_assertion_type: assertionType,
        client_assertion: 'eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl',
      },
      oauth: true,
      // A whole site of devices may sign in from one address.
      limitsRefusals: true,
      fleet: true,
      answers: {
        200: {
          description: 'a token for the routes of agents',
          schema: Type.Object({
            access_token: Type.String(),
            token_type: Type.Literal('Bearer'),
            expires_in: Type.Integer(),
          }),
          example: {
            access_token: 'eyJ0eXAiOiJsYXRjaGtleS1hZ2VudCtqd3QifQ.e30.c2ln',
            token_type: 'Bearer',
            expires_in: agentTokenLifetime,
          },
        },
      },
      problems: ['invalid-request', 'unauthenticated'],
      async handle({ body }) {
        if (body.grant_type !== 'client_credentials') {
          return { status: 400, body: { error: 'unsupported_grant_type' } };
        }
        if (body.client_assertion_type !== assertionType) {
          throw new LatchkeyError('invalid-request', `client_assertion_type must be ${assertionType}`);
        }
        const { device, token } = await signInDevice(broker, body.client_assertion, body.client_id ?? null);
        return {
          status: 200,
          signedIn: device,
          body: { access_token: token, token_type: 'Bearer', expires_in: agentTokenLifetime },
          headers: { 'Cache-Control': 'no-store' },
        };
      },
    }),

    route({
      method: 'get',
      path: '/v1/agent/stream',
      id: 'streamLiveGrants',
      tag: 'Agents',
      summary: 'Live grants, as they change',
      audience: 'device',
      fleet: true,
      rule: itself,
      answers: {
        200: {
          description: `server-sent events \`live-grants\`, each ${statement}`,
          contentType: 'text/event-stream',
          schema: Type.String(),
          example: 'event: live-grants\ndata: eyJ0eXAiOiJsaXZlLWdyYW50cytqd3QifQ.e30.c2ln\n\n',
        },
      },
      problems: [],
      async handle({ device, response }) {
        liveLists.requireOpen();
        openStream(response, (subscriber) => liveLists.subscribe(device, subscriber));
        return null;
      },
    }),

    route({
      method: 'get',
      path: '/v1/agent/live-grants',
      id: 'getLiveGrants',
      tag: 'Agents',
      summary: 'Live grants, once',
      audience: 'device',
      fleet: true,
      rule: itself,
      answers: {
        200: {
          description: statement,
          contentType: jwtType,
          schema: Type.String(),
          example: 'eyJ0eXAiOiJsaXZlLWdyYW50cytqd3QifQ.e30.c2ln',
        },
      },
      problems: [],
      async handle({ device }) {
        const text = await liveLists.statementFor(device);
        if (!text) throw new LatchkeyError('unauthenticated', 'the token is not a valid one of an enrolled device');
        return { status: 200, body: text, headers: { 'Content-Type': jwtType, 'Cache-Control': 'no-store' } };
      },
    }),

    route({
      method: 'put',
      path: '/v1/agent/state',
      id: 'putDeviceState',
      tag: 'Agents',
      summary: 'Say how the device is and where its door is',
      audience: 'device',
      fleet: true,
      rule: itself,
      body: schemas.DeviceState,
      bodyExample: { inUse: false, facts: deviceExample.facts, door: deviceExample.door },
      answers: { 200: { description: 'the device', schema: schemas.DeviceShape, example: deviceExample } },
      problems: ['invalid-request'],
      async handle({ device, body }) {
        await updateDeviceState(broker.pool, device, {
          inUse: body.inUse,
          facts: body.facts,
          door: body.door && doorOf(body.door),
          name: body.facts && nameOf(body.facts, device),
        });
        return { status: 200, body: showDevice((await findDevice(broker.pool, device))!) };
      },
    }),

    route({
      method: 'post',
      path: '/v1/agent/events',
      id: 'postDeviceEvents',
      tag: 'Agents',
      summary: 'Say what happened at the door',
      audience: 'device',
      fleet: true,
      rule: itself,
      body: Type.Object(
        {
          events: Type.Array(Type.String({ minLength: 1, maxLength: 16_384 }), { minItems: 1, maxItems: 100 }),
        },
        { additionalProperties: false },
      ),
      bodyExample: { events: ['eyJ0eXAiOiJsYXRjaGtleS1ldmVudCtqd3QifQ.e30.c2ln'] },
      answers: { 204: { description: 'each is in the ledger, once' } },
      problems: ['invalid-request'],
      async handle({ device, body }) {
        await runCommand(broker, { actor: { kind: 'device', id: device } }, (tx, journal) =>
          recordDeviceEvents(broker, tx, journal, device, body.events, readDeviceStatement),
        );
        return { status: 204 };
      },
    }),
  ];
}
