import { createHash, randomBytes } from 'node:crypto';
import { calculateJwkThumbprint, importJWK, jwtVerify } from 'jose';
import { requireCanonicalCompactJws } from '../domain/compact-jws.ts';
import { base32, enrolmentCodeSuffix } from '../domain/enrolment-code.ts';
import { LatchkeyError, invalid } from '../domain/errors.ts';
import { newId, type TenantId } from '../domain/ids.ts';
import {
  findDevice,
  insertDevice,
  insertEnrolmentCode,
  lockEnrolmentCode,
  useEnrolmentCode,
} from '../store/devices.ts';
import type { Device, DeviceKey } from '../store/devices.ts';
import { raiseLiveVersions } from '../store/live-grants.ts';
import { findTenant } from '../store/tenants.ts';
import { databaseNow, type Tx } from '../store/transaction.ts';
import { requireAdministrator } from './administer.ts';
import type { BrokerContext, Caller } from './context.ts';
import type { Journal } from './journal.ts';
import { maySee } from './see.ts';

const codeLifetime = 3_600_000;

/**
 * Makes a code with which one device can enrol, once, within an hour. Only its hash is kept.
 * @throws invalid-request for an unknown tenant; not-permitted, recorded.
 */
export async function makeEnrolmentCode(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  tenantId: TenantId,
): Promise<{ readonly code: string; readonly expiresAt: Date }> {
  const now = await databaseNow(tx);
  const found = await findTenant(tx, tenantId);
  const tenant = found && maySee(context, caller, 'tenants', { owner: null, tenantSlug: found.slug }) ? found : null;
  await requireAdministrator(context, journal, caller, 'enrol-devices', tenant, now);
  if (!tenant) throw invalid('/tenant', `there is no tenant \`${tenantId}\``);
  const code = `${base32(randomBytes(10))}-${suffixOf(context, context.keys.ledger.vkey)}`;
  const expiresAt = new Date(now.getTime() + codeLifetime);
  await insertEnrolmentCode(tx, {
    hash: hashOf(code),
    tenant: tenant.id,
    createdBy: caller.id,
    createdAt: now,
    expiresAt,
  });
  journal.fact(now, tenant.id, { type: 'enrolment-code.made', expiresAt: expiresAt.toISOString() });
  return { code, expiresAt };
}

export interface Enrolment {
  readonly code: string;
  readonly publicKey: DeviceKey;
  /** A JWT of type `latchkey-enrolment+jwt`, signed by that key. */
  readonly proof: string;
  /** To which what only the device may read is encrypted; the proof names its thumbprint in `encryptionKey`. */
  readonly encryptionKey?: DeviceKey | undefined;
  readonly facts: Readonly<Record<string, unknown>>;
}

/**
 * Enrols a device with a code.
 * @throws invalid-request for a proof that does not hold; not-permitted for a code that is unknown, used or expired;
 *   conflict for a key that was ever enrolled.
 */
export async function enrolDevice(context: BrokerContext, tx: Tx, journal: Journal, wish: Enrolment): Promise<Device> {
  const now = await databaseNow(tx);
  await checkProof(context.issuer, wish, now);
  const code = await lockEnrolmentCode(tx, hashOf(wish.code));
  if (!code) throw new LatchkeyError('not-permitted', 'the enrolment code is unknown, used or expired');
  const id = newId('device', now.getTime());
  const device = {
    id,
    tenant: code.tenant,
    name: nameOf(wish.facts, id),
    publicKey: wish.publicKey,
    encryptionKey: wish.encryptionKey ?? null,
    facts: wish.facts,
    enrolledAt: now,
  };
  if (!(await insertDevice(tx, device, await calculateJwkThumbprint(wish.publicKey)))) {
    throw new LatchkeyError('conflict', 'this key was enrolled before: a device that enrols again makes a new key');
  }
  await useEnrolmentCode(tx, hashOf(wish.code), id);
  raiseLiveVersions(tx, [id]);
  const actor = { kind: 'device', id } as const;
  journal.fact(now, code.tenant, { type: 'device.enrolled', device: id, enrolledBy: code.createdBy }, actor);
  return (await findDevice(tx, id))!;
}

/**
 * The ledger's key that a code vouches for. While one takes the place of another, codes that were made before are still
 * about: such a device pins the old key, and follows.
 */
export function ledgerKeyOf(context: BrokerContext, code: string): string {
  const { ledger } = context.keys;
  const suffix = code.slice(code.lastIndexOf('-') + 1);
  return (ledger.published().find(({ vkey }) => suffixOf(context, vkey) === suffix) ?? ledger).vkey;
}

function suffixOf({ issuer, recoveryKey }: BrokerContext, ledgerKey: string): string {
  return enrolmentCodeSuffix(issuer, ledgerKey, recoveryKey);
}

/** What people call a device: its host name, else its serial number, else its id. */
export function nameOf(facts: Readonly<Record<string, unknown>>, id: string): string {
  const name = [facts.hostname, facts.serial].find((each) => typeof each === 'string' && each.trim() !== '');
  return typeof name === 'string' ? name.trim() : id;
}

const proofAge = 300;

async function checkProof(
  issuer: string,
  { publicKey, proof, code, encryptionKey }: Enrolment,
  now: Date,
): Promise<void> {
  try {
    requireCanonicalCompactJws(proof, { maxLength: 8_192 });
    const { payload } = await jwtVerify(proof, await importJWK({ ...publicKey }, 'ES256'), {
      algorithms: ['ES256'],
      typ: 'latchkey-enrolment+jwt',
      audience: issuer,
      currentDate: now,
      maxTokenAge: proofAge,
      clockTolerance: 60,
      requiredClaims: ['iat'],
    });
    // INVARIANT: nobody on the way puts in a key of their own, or leaves the device's out.
    const named = encryptionKey && (await thumbprintOf(encryptionKey, publicKey));
    if (payload.code === code && payload.aud === issuer && payload['encryptionKey'] === named) return;
  } catch {
    // Which check failed is of no use to an honest agent: the proof is made by its own library.
  }
  throw invalid('/proof', 'is not a fresh proof of the key, for this broker and this code');
}

/** Of a key that is on its curve, and another than the one that signs. */
async function thumbprintOf(key: DeviceKey, signingKey: DeviceKey): Promise<string> {
  await importJWK({ ...key }, 'ECDH-ES');
  const thumbprint = await calculateJwkThumbprint(key);
  if (thumbprint === (await calculateJwkThumbprint(signingKey))) throw new Error('a key is for one use');
  return thumbprint;
}

function hashOf(code: string): Buffer {
  return createHash('sha256').update(code).digest();
}
