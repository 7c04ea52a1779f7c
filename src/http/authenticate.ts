import type { Request } from 'express';
import { verifyAgentToken } from '../credentials/statements.ts';
import { LatchkeyError } from '../domain/errors.ts';
import type { DeviceId } from '../domain/ids.ts';
import { noLongerEnrolled } from '../domain/unenrolled.ts';
import type { Caller } from '../broker/context.ts';
import { findDevice, touchDevice } from '../store/devices.ts';
import type { HttpContext } from './context.ts';

/** The person that a call's token speaks for. @throws unauthenticated, unavailable. */
export async function authenticatePerson(context: HttpContext, request: Request): Promise<Caller> {
  const person = await context.identity.verify(bearerOf(request));
  return context.people.recognize({ ...person, claimsAt: new Date(person.issuedAt * 1000) });
}

/** The enrolled device that a call's token speaks for. @throws unauthenticated. */
export async function authenticateDevice(context: HttpContext, request: Request): Promise<DeviceId> {
  const { keys, issuer, pool } = context.broker;
  const id = await verifyAgentToken(keys.statement.published(), issuer, bearerOf(request), new Date());
  const device = id && (await findDevice(pool, id));
  if (!device) throw new LatchkeyError('unauthenticated', 'the token is not a valid one of an enrolled device');
  if (device.unenrolledAt) throw new LatchkeyError('unauthenticated', noLongerEnrolled);
  if (!device.lastSeenAt || Date.now() - device.lastSeenAt.getTime() > 10_000) await touchDevice(pool, device.id);
  return device.id;
}

/** True when the token says that it is a device's. Decides only who verifies it; nothing is believed of it. */
export function looksLikeDevice(request: Request): boolean {
  const [header = ''] = (request.headers.authorization ?? '').slice('Bearer '.length).split('.');
  return Buffer.from(header, 'base64url').toString('latin1').includes('latchkey-agent+jwt');
}

/** The one bearer token of a call (RFC 6750 §2.1): never from the query, never two. */
function bearerOf(request: Request): string {
  const given = request.headersDistinct.authorization ?? [];
  const match = given.length === 1 ? /^Bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(given[0]!) : null;
  if (!match)
    throw new LatchkeyError('unauthenticated', 'send one `Authorization: Bearer` header with an access token');
  return match[1]!;
}
