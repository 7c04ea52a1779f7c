import { callBroker, isUnenrolled, requireBrokerUrl } from './broker-calls.ts';
import { readEnrolment } from './enrol.ts';
import { loadDeviceKey } from './keys.ts';
import { openOutbox } from './outbox.ts';
import { createReporter } from './report.ts';
import { createSignIn } from './sign-in.ts';
import { removeState, StateError } from './state-directory.ts';

export interface UnenrolOptions {
  readonly brokerUrl: string;
  /** Of an agent that has stopped. */
  readonly stateDirectory: string;
  /** Has the broker delete what was collected about the device; the ledger keeps that it was there. */
  readonly erase?: boolean;
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

const tellMs = 10_000;
/** `device.json` is near the end, so that whoever was stopped on the way can begin again; what it says is all gone by then. */
const files = [
  'live-grants.json',
  'door.json',
  'door-certificate.json',
  'running-actions.json',
  'local-admin.json',
  'outbox.db',
  'outbox.db-journal',
  'outbox.damaged.db',
  'outbox.damaged.db-journal',
  'device.json',
  'device-encryption-key.json',
  'device-key.json',
];

/**
 * Takes the device out at its broker (contract §5), once all that it had to report is told, and removes its key and what
 * else it kept. Begun anew after a failure, it goes on. A device that an operator took out is only cleared away.
 * @throws StateError when it is not enrolled, an agent is running on it, or something could not be told yet.
 * @throws BrokerError when the broker cannot be reached, or `erase` is asked for a device that is out already.
 */
export async function unenrol(options: UnenrolOptions): Promise<void> {
  const { stateDirectory, erase = false, log } = options;
  const enrolment = await readEnrolment(stateDirectory, requireBrokerUrl(options.brokerUrl));
  if (enrolment === null) throw new StateError('the device is not enrolled');
  const { issuer, device } = enrolment;
  const key = await loadDeviceKey(stateDirectory);
  const signIn = createSignIn({ issuer, device, key });
  const outbox = openOutbox(stateDirectory, log);
  const reporter = createReporter({ issuer, device, key, signIn, outbox, now: Date.now, ...(log && { log }) });
  try {
    const bearer = await signIn.token();
    await reporter.recover(null);
    await reporter.flush(tellMs);
    const left = outbox.size().events;
    if (left > 0) throw new StateError(`${left} events are not told yet: they would be lost; try again later`);
    const call = { method: 'DELETE', bearer, success: 204 } as const;
    // If we stop here or below, the device is out, and the next call clears away what it kept.
    await callBroker(`${issuer}/v1/devices/${device}${erase ? '?erase=true' : ''}`, call);
  } catch (error) {
    // Only an operator can have erased what is collected about a device that is out.
    if (erase || !isUnenrolled(error)) throw error;
  } finally {
    await reporter.stop(0);
  }
  for (const file of files) await removeState(stateDirectory, file);
}
