import { Type } from 'typebox';
import { changeTenant } from '../../broker/administer.ts';
import { runCommand } from '../../broker/command.ts';
import { enrolDevice, ledgerKeyOf, makeEnrolmentCode } from '../../broker/enrol-device.ts';
import { maySee, requireVisible, tenantsInList } from '../../broker/see.ts';
import { unenrolDevice } from '../../broker/unenrol-device.ts';
import { LatchkeyError } from '../../domain/errors.ts';
import { newId } from '../../domain/ids.ts';
import { findDevice, listDevices } from '../../store/devices.ts';
import { findTenant, listTenants } from '../../store/tenants.ts';
import type { HttpContext } from '../context.ts';
import { deviceExample, tenantExample } from '../examples.ts';
import { listed, pageAnswer, pageOf, whatOneMaySee } from '../lists.ts';
import { route, type Route } from '../route.ts';
import * as schemas from '../schemas.ts';
import { showDevice } from '../show.ts';
import { personActor } from './read.ts';

const deviceParams = Type.Object({ id: schemas.id('device') });
const tenantParams = Type.Object({ slug: schemas.Slug });

export function deviceRoutes(context: HttpContext): Route[] {
  const { broker } = context;
  const tenantAnswer = { description: 'the tenant', schema: schemas.TenantShape, example: tenantExample };
  return [
    route({
      method: 'put',
      path: '/v1/tenants/{slug}',
      id: 'putTenant',
      tag: 'Tenants and devices',
      summary: 'Make a tenant, or change its name',
      audience: 'person',
      rule: 'policy decides: `manage-tenants`',
      params: tenantParams,
      body: schemas.TenantWish,
      bodyExample: { name: 'Contoso', region: 'EU' },
      answers: { 200: tenantAnswer, 201: tenantAnswer },
      problems: ['invalid-request', 'not-permitted', 'conflict'],
      async handle({ caller, params, body }) {
        return runCommand(broker, { actor: personActor(caller) }, async (tx, journal) => {
          const { tenant, made } = await changeTenant(broker, tx, journal, caller, { ...params, ...body });
          return {
            status: made ? 201 : 200,
            body: tenant,
            headers: made ? { Location: `/v1/tenants/${tenant.slug}` } : {},
          };
        });
      },
    }),

    route({
      method: 'get',
      path: '/v1/tenants',
      id: 'listTenants',
      tag: 'Tenants and devices',
      summary: 'Tenants that you may see',
      audience: 'person',
      rule: whatOneMaySee,
      query: schemas.queryOf({ ...schemas.paging }),
      answers: pageAnswer(schemas.TenantShape, tenantExample),
      problems: ['invalid-request', 'not-permitted'],
      async handle({ caller, query }) {
        const slugs = tenantsInList(broker, caller, 'tenants');
        return listed(
          pageOf('tenant', query),
          (page) => listTenants(broker.pool, slugs, page),
          (t) => t.id,
          (t) => t,
        );
      },
    }),

    route({
      method: 'get',
      path: '/v1/tenants/{slug}',
      id: 'getTenant',
      tag: 'Tenants and devices',
      summary: 'A tenant',
      audience: 'person',
      rule: 'whoever policy lets see it',
      params: tenantParams,
      answers: { 200: tenantAnswer },
      problems: ['not-found'],
      async handle({ caller, params }) {
        requireVisible(broker, caller, 'tenants', { owner: null, tenantSlug: params.slug });
        const tenant = await findTenant(broker.pool, params.slug);
        if (!tenant) throw new LatchkeyError('not-found', 'there is no such tenant');
        return { status: 200, body: tenant };
      },
    }),

    route({
      method: 'post',
      path: '/v1/enrolment-codes',
      id: 'makeEnrolmentCode',
      tag: 'Tenants and devices',
      summary: 'Make a code with which one device can enrol',
      audience: 'person',
      rule: 'policy decides: `enrol-devices`',
      body: schemas.EnrolmentCodeWish,
      bodyExample: { tenant: tenantExample.id },
      answers: {
        201: {
          description: 'good once, for an hour; it also tells the device whom to trust',
          schema: Type.Object({ code: Type.String(), expiresAt: schemas.Time }),
          example: { code: 'k3v9mzr2x8w4h7qp-t6n4b2y9c5d8f3ga', expiresAt: '2026-03-01T10:30:00.000Z' },
        },
      },
      problems: ['invalid-request', 'not-permitted', 'conflict'],
      async handle({ caller, body, idempotency }) {
        return runCommand(broker, { actor: personActor(caller), idempotency }, async (tx, journal) => ({
          status: 201,
          body: await makeEnrolmentCode(broker, tx, journal, caller, body.tenant),
          headers: { 'Cache-Control': 'no-store' },
        }));
      },
    }),

    route({
      method: 'post',
      path: '/v1/devices',
      id: 'enrolDevice',
      tag: 'Agents',
      summary: 'Enrol a device',
      audience: 'anyone',
      rule: 'an unused enrolment code and a proof of the key',
      body: schemas.EnrolmentWish,
      bodyExample: {
        code: 'k3v9mzr2x8w4h7qp-t6n4b2y9c5d8f3ga',
        publicKey: {
          kty: 'EC',
          crv: 'P-256',
          x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
          y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
        },
        proof: 'eyJ0eXAiOiJsYXRjaGtleS1lbnJvbG1lbnQrand0IiwiYWxnIjoiRVMyNTYifQ.e30.c2lnbmF0dXJl',
        facts: deviceExample.facts,
      },
      answers: {
        201: {
          description: 'the device, and whom it is to trust',
          schema: schemas.EnrolledShape,
          example: {
            ...deviceExample,
            door: null,
            issuer: 'https://latchkey.example',
            jwksUri: 'https://latchkey.example/.well-known/jwks.json',
            ledgerKey: 'latchkey.example/eu+1a2b3c4d+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
            recoveryKey: 'latchkey.example/eu/recovery+5e6f7a8b+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB',
          },
        },
      },
      problems: ['invalid-request', 'not-permitted', 'conflict'],
      async handle({ body }) {
        const { kty, crv, x, y } = body.publicKey;
        const wish = { ...body, publicKey: { kty, crv, x, y } };
        // The actor is the device, whose id does not exist before; the use case names it.
        const actor = { kind: 'device', id: newId('device', Date.now()) } as const;
        const device = await runCommand(broker, { actor }, (tx, journal) => enrolDevice(broker, tx, journal, wish));
        return {
          status: 201,
          body: {
            ...showDevice(device),
            issuer: broker.issuer,
            jwksUri: `${broker.issuer}/.well-known/jwks.json`,
            ledgerKey: ledgerKeyOf(broker, body.code),
            ...(broker.recoveryKey !== null && { recoveryKey: broker.recoveryKey }),
          },
          headers: { Location: `/v1/devices/${device.id}` },
        };
      },
    }),

    route({
      method: 'get',
      path: '/v1/devices',
      id: 'listDevices',
      tag: 'Tenants and devices',
      summary: 'Devices that you may see',
      audience: 'person',
      rule: whatOneMaySee,
      query: schemas.queryOf({
        tenant: Type.Optional(schemas.TenantRef),
        q: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'part of a name, id or fact' })),
        ...schemas.paging,
      }),
      answers: pageAnswer(schemas.DeviceShape, deviceExample),
      problems: ['invalid-request', 'not-permitted'],
      async handle({ caller, query }) {
        const slugs = tenantsInList(broker, caller, 'devices');
        const filter = { slugs, tenant: query.tenant ?? null, q: query.q ?? null };
        return listed(
          pageOf('device', query),
          (page) => listDevices(broker.pool, filter, page),
          (d) => d.id,
          (items) => items.map(showDevice),
        );
      },
    }),

    route({
      method: 'get',
      path: '/v1/devices/{id}',
      id: 'getDevice',
      tag: 'Tenants and devices',
      summary: 'A device',
      audience: 'person',
      rule: 'whoever policy lets see it',
      params: deviceParams,
      answers: { 200: { description: 'the device', schema: schemas.DeviceShape, example: deviceExample } },
      problems: ['not-found'],
      async handle({ caller, params }) {
        const device = await findDevice(broker.pool, params.id);
        if (!device || !maySee(broker, caller, 'devices', { owner: null, tenantSlug: device.tenantSlug })) {
          throw new LatchkeyError('not-found', 'there is no such device');
        }
        return { status: 200, body: showDevice(device) };
      },
    }),

    route({
      method: 'delete',
      path: '/v1/devices/{id}',
      id: 'unenrolDevice',
      tag: 'Tenants and devices',
      summary: 'Take a device out',
      audience: 'person-or-device',
      rule: 'the device itself; of persons, policy decides: `unenrol-devices`',
      params: deviceParams,
      query: schemas.queryOf({ erase: Type.Optional(schemas.oneOf(['true', 'false'] as const)) }),
      answers: { 204: { description: 'it has left its grants, and its key is refused from now on' } },
      problems: ['invalid-request', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, device, params, query }) {
        const self = device === params.id;
        if (!caller && !self) throw new LatchkeyError('not-found', 'there is no such device');
        const actor = caller ? personActor(caller) : ({ kind: 'device', id: device } as const);
        await runCommand(broker, { actor }, (tx, journal) =>
          unenrolDevice(broker, tx, journal, caller ?? null, params.id, query.erase === 'true'),
        );
        return { status: 204 };
      },
    }),
  ];
}
