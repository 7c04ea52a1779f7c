import { createHash } from 'node:crypto';
import { importJWK, jwtVerify } from 'jose';
import { signAgentToken } from '../credentials/statements.ts';
import { requireCanonicalCompactJws } from '../domain/compact-jws.ts';
import { LatchkeyError } from '../domain/errors.ts';
import { isId, type DeviceId } from '../domain/ids.ts';
import { noLongerEnrolled } from '../domain/unenrolled.ts';
import { useProof } from '../store/credentials.ts';
import { findDevice, type Device } from '../store/devices.ts';
import type { BrokerContext } from './context.ts';

/** An assertion may be this many seconds from its end (contract §5). */
const furthestEnd = 60;

/**
 * Signs a device in by an assertion of its key (RFC 7523 §3), which counts once among all brokers.
 * @throws unauthenticated for anything that is not a fresh assertion of an enrolled device; a device that was taken out
 *   is told so, once its key has signed.
 */
export async function signInDevice(
  context: BrokerContext,
  assertion: string,
  clientId: string | null,
): Promise<{ readonly device: DeviceId; readonly token: string }> {
  const device = await deviceOf(context, assertion);
  if (!device || (clientId !== null && clientId !== device.id)) throw refusal();
  const now = new Date();
  const { jti, exp } = await verify(context, device, assertion, now);
  if (device.unenrolledAt) throw new LatchkeyError('unauthenticated', noLongerEnrolled);
  const used = createHash('sha256').update(`assertion ${device.id} ${jti}`).digest('base64url');
  if (!(await useProof(context.pool, used, new Date((exp + furthestEnd) * 1000)))) throw refusal();
  return {
    device: device.id,
    token: await signAgentToken(context.keys.statement.signing(), context.issuer, device.id, now),
  };
}

/** Whose key is to verify it; nothing else of an assertion is believed before. */
async function deviceOf(context: BrokerContext, assertion: string): Promise<Device | null> {
  try {
    const { payload } = requireCanonicalCompactJws(assertion, { maxLength: 8_192 });
    return isId('device', payload.sub) ? await findDevice(context.pool, payload.sub) : null;
  } catch (error) {
    if (error instanceof LatchkeyError) throw error;
    return null;
  }
}

async function verify(
  context: BrokerContext,
  device: Device,
  assertion: string,
  now: Date,
): Promise<{ readonly jti: string; readonly exp: number }> {
  try {
    const { payload, protectedHeader } = await jwtVerify(assertion, await importJWK({ ...device.publicKey }, 'ES256'), {
      algorithms: ['ES256'],
      issuer: device.id,
      subject: device.id,
      audience: context.issuer,
      requiredClaims: ['jti', 'exp'],
      currentDate: now,
    });
    const { typ } = protectedHeader;
    const { jti, exp, aud } = payload;
    const typed = typ === undefined || typ === 'client-authentication+jwt';
    const soon = exp! <= now.getTime() / 1000 + furthestEnd;
    const named = typeof jti === 'string' && jti.length > 0 && jti.length <= 256;
    if (typed && soon && named && aud === context.issuer) return { jti, exp: exp! };
  } catch {
    // Which check failed is of no use to an honest agent: assertions are made by its own library.
  }
  throw refusal();
}

function refusal(): LatchkeyError {
  return new LatchkeyError('unauthenticated', 'not a fresh assertion of an enrolled device');
}
