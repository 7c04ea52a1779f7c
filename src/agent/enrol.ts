import { calculateJwkThumbprint } from 'jose';
import { enrolmentCodeSuffix } from '../domain/enrolment-code.ts';
import { isId, type DeviceId, type TenantId } from '../domain/ids.ts';
import { BrokerError, callBroker, requireBrokerUrl } from './broker-calls.ts';
import { forgetEncryptionKey, loadEncryptionKey } from './encryption-key.ts';
import { forgetDeviceKey, loadDeviceKey, type DeviceKey } from './keys.ts';
import { readState, StateError, writeState } from './state-directory.ts';

const fileName = 'device.json';

/** What the agent learned when it was enrolled, and lives by from then on. */
export interface Enrolment {
  readonly device: DeviceId;
  readonly tenant: TenantId;
  readonly name: string;
  /** The broker's `publicUrl`: the only issuer whose credentials and statements count. */
  readonly issuer: string;
  /** Where its public keys are; always of the configured broker's origin. */
  readonly jwksUri: string;
  /** The ledger's key as a C2SP vkey: what every receipt is verified with. Null when there is none: then none holds. */
  readonly ledgerKey: string | null;
  /** The vkey that alone may replace the ledger's key should it leak; null when the broker has none. */
  readonly recoveryKey: string | null;
}

export interface EnrolOptions {
  readonly brokerUrl: string;
  readonly stateDirectory: string;
  /** Needed at the first start only. */
  readonly code?: string;
  /** What the device says of itself: serial, make, model, hostname and whatever else. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/**
 * The device's enrolment: read from the state directory, or made with the enrolment code at the first start
 * (contract §5). A directory that is enrolled never calls the broker again.
 * @throws BrokerError when the broker refuses, its answer points to another origin than the configured one, or issuer,
 *   ledger key and recovery key are not those that the code was made for.
 * @throws StateError when the device is not enrolled and there is no code, or it is enrolled with another broker.
 */
export async function enrol(options: EnrolOptions): Promise<Enrolment> {
  const brokerUrl = requireBrokerUrl(options.brokerUrl);
  const known = await readEnrolment(options.stateDirectory, brokerUrl);
  if (known !== null) return known;
  if (options.code === undefined) {
    throw new StateError('the device is not enrolled; give it an enrolment code from an operator');
  }
  const answer = await callWithFreshKey({ ...options, brokerUrl, code: options.code });
  const enrolment = checkEnrolment(enrolmentOf(answer), brokerUrl);
  requireMeantBroker(enrolment, options.code);
  // If we stop here, the broker has a device whose agent does not know its own id: the next start needs another code
  // and, because the key counts as enrolled, makes another key; an operator takes the forgotten device off.
  await writeState(options.stateDirectory, fileName, enrolment);
  return enrolment;
}

/** What the device was enrolled with; null when it is not. @throws BrokerError when that is another broker. */
export async function readEnrolment(stateDirectory: string, brokerUrl: string): Promise<Enrolment | null> {
  const known = await readState(stateDirectory, fileName);
  return known === null ? null : checkEnrolment(known, brokerUrl);
}

type Asked = EnrolOptions & { readonly code: string };

/** A key can be enrolled once: one whose enrolment was lost on the way is given up. */
async function callWithFreshKey(options: Asked): Promise<unknown> {
  try {
    return await callEnrolment(options, await loadDeviceKey(options.stateDirectory));
  } catch (error) {
    if (!(error instanceof BrokerError) || error.status !== 409) throw error;
    await forgetDeviceKey(options.stateDirectory);
    await forgetEncryptionKey(options.stateDirectory);
    return callEnrolment(options, await loadDeviceKey(options.stateDirectory));
  }
}

async function callEnrolment({ brokerUrl, code, facts, stateDirectory }: Asked, key: DeviceKey): Promise<unknown> {
  const iat = Math.floor(Date.now() / 1_000);
  const { publicJwk: encryptionKey } = await loadEncryptionKey(stateDirectory);
  const named = await calculateJwkThumbprint(encryptionKey);
  const proof = await key.sign('latchkey-enrolment+jwt', { aud: brokerUrl, iat, code, encryptionKey: named });
  const json = { code, publicKey: key.publicJwk, encryptionKey, proof, facts };
  return callBroker(`${brokerUrl}/v1/devices`, { method: 'POST', json });
}

function enrolmentOf(answer: unknown): Record<string, unknown> {
  const { id, ...rest } = (answer ?? {}) as Record<string, unknown>;
  return { ...rest, device: id };
}

function checkEnrolment(value: unknown, brokerUrl: string): Enrolment {
  const { device, tenant, name, issuer, jwksUri, ledgerKey, recoveryKey } = (value ?? {}) as Record<string, unknown>;
  if (!isId('device', device) || !isId('tenant', tenant)) {
    throw new BrokerError('the enrolment names no device and tenant', null);
  }
  const { origin } = new URL(brokerUrl);
  for (const url of [issuer, jwksUri]) {
    if (typeof url !== 'string' || URL.parse(url)?.origin !== origin) {
      throw new BrokerError(`the enrolment points to another origin than the configured \`${origin}\``, null);
    }
  }
  return {
    device,
    tenant,
    name: typeof name === 'string' ? name : device,
    issuer: issuer as string,
    jwksUri: jwksUri as string,
    ledgerKey: typeof ledgerKey === 'string' ? ledgerKey : null,
    recoveryKey: typeof recoveryKey === 'string' ? recoveryKey : null,
  };
}

/** The code came by another way than the answer: if they agree, nobody between put in a key of their own. */
function requireMeantBroker({ issuer, ledgerKey, recoveryKey }: Enrolment, code: string): void {
  if (ledgerKey === null) throw new BrokerError('the enrolment names no ledger key', null);
  if (code.slice(code.lastIndexOf('-') + 1) === enrolmentCodeSuffix(issuer, ledgerKey, recoveryKey)) return;
  throw new BrokerError('the broker is not the one that the enrolment code was made for', null);
}
