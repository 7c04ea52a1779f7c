import { setTimeout as sleep } from 'node:timers/promises';
import type { DeviceId, SessionId, TenantId } from '../domain/ids.ts';
import type { Actions } from './actions.ts';
import { createAnnouncer } from './announce-state.ts';
import type { DoorAddressOptions, DoorCertificate } from './door-server.ts';
import { openDoor, type Door, type DoorOptions } from './door.ts';
import { enrol, type Enrolment } from './enrol.ts';
import { loadEncryptionKey } from './encryption-key.ts';
import { createBrokerKeys } from './jwks.ts';
import { keepPassword, type LocalAdministrator, type PasswordKeeper } from './keep-password.ts';
import { loadDeviceKey } from './keys.ts';
import { loadLedgerKeys } from './ledger-keys.ts';
import { createLiveGrants, type LiveGrants } from './live-grants.ts';
import type { HighWater } from './live-grants-statement.ts';
import type { DemandedWitnesses } from './witnesses.ts';
import { openOutbox, type Outbox } from './outbox.ts';
import { createEventCheck } from './receipts.ts';
import { createReporter, type Reporter } from './report.ts';
import { createSessions } from './sessions.ts';
import { createSignIn } from './sign-in.ts';
import { readState, StateError, writeState } from './state-directory.ts';
import { createVerifier } from './verify-credential.ts';
import { watchLiveGrants } from './watch-live-grants.ts';

export interface AgentOptions {
  /** The broker's `publicUrl`. The only address that is ever called. */
  readonly brokerUrl: string;
  /** Where key, enrolment and what must survive a restart are kept, readable by the agent alone. */
  readonly stateDirectory: string;
  /** Needed at the first start only. */
  readonly enrolmentCode?: string;
  readonly actions: Actions;
  /** What the device says of itself, asked for at each announcement. */
  readonly facts: () => Readonly<Record<string, unknown>>;
  readonly inUse: () => boolean;
  /** The account whose password is the broker's to say; without one, no password is touched. */
  readonly localAdministrator?: LocalAdministrator;
  /** Demands that checkpoints of receipts are cosigned: then not even all of the broker's keys open the door unseen. */
  readonly witnesses?: DemandedWitnesses;
  /**
   * Where the door is and what it shows: 127.0.0.1 without TLS when not given; without a port at the one used before,
   * or a free one.
   */
  readonly door?: Partial<DoorAddressOptions>;
  /**
   * True of a session of which something that was begun before this start may still be at work: it is not told to have
   * ended until a later start finds that nothing is.
   */
  readonly isStillOn?: (session: SessionId) => boolean;
  /**
   * Called once the broker has said that the device was taken out, with every session ended and the door shut: the device
   * can do no more than be enrolled anew.
   */
  readonly onUnenrolled?: () => void;
  /** Told what happens; never a credential, a token, an argument or a line of output. */
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

export interface Agent {
  readonly device: DeviceId;
  readonly tenant: TenantId;
  readonly name: string;
  readonly doorUrl: string;
  readonly refusals: Door['refusals'];
  /** Tells the broker that facts or use have changed. */
  readonly announce: () => Promise<void>;
  /** Tells the broker what happened to a session beside what the door itself reports. Resolves once it is on the disk. */
  readonly report: Reporter['report'];
  /** Binds the device to tell of the end of what is begun now. */
  readonly promise: Reporter['promise'];
  /** Shows another certificate at the door, and tells the broker. */
  readonly useCertificate: (certificate: DoorCertificate) => Promise<void>;
  /** Ends every session, closes the door, and tells what it can within two seconds; the rest is told by the next start. */
  readonly stop: () => Promise<void>;
}

const reportGraceMs = 2_000;

/**
 * Starts the agent of a device: enrols it at the first start, learns what is live, opens the door, tells the broker
 * where it is. Resolves once the broker knows the door and a proof made from now on is taken.
 * What an agent before it had begun and not ended, because it was killed, is then told to have ended.
 * @throws BrokerError or StateError when the device cannot be enrolled, or the state directory is another agent's;
 *   afterwards it waits for the broker instead, unless that says that the device was taken out.
 * @throws Malformed or RangeError for witnesses that cannot be asked for.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const outbox = openOutbox(options.stateDirectory, options.log);
  return startWith(outbox, options).catch((error: unknown) => {
    outbox.close();
    throw error;
  });
}

async function startWith(outbox: Outbox, options: AgentOptions): Promise<Agent> {
  const { stateDirectory, log = () => undefined } = options;
  const { brokerUrl, enrolmentCode, facts, witnesses } = options;
  const enrolment = await enrol({
    brokerUrl,
    stateDirectory,
    facts: facts(),
    ...(enrolmentCode === undefined ? {} : { code: enrolmentCode }),
  });
  const { issuer, device, tenant, jwksUri, ledgerKey } = enrolment;
  const ledgerKeys = (await loadLedgerKeys(enrolment, stateDirectory, { witnesses, log })) ?? undefined;
  const key = await loadDeviceKey(stateDirectory);
  const keys = createBrokerKeys({ jwksUri });
  const seen = readHighWater(await readState(stateDirectory, highWaterFile));
  const liveGrants = loadLiveGrants(enrolment, stateDirectory, keys, seen);
  const now = () => liveGrants.now() ?? Date.now();
  const signIn = createSignIn({ issuer, device, key, now });
  const reporter = createReporter({ issuer, device, key, signIn, outbox, now, log });
  const sessions = createSessions({ liveGrants, reporter });
  const verifier = createVerifier({ issuer, device, tenant, keys, liveGrants, ledgerKey, ledgerKeys, witnesses });
  liveGrants.onChange(() => ledgerKeys?.heard(liveGrants.current()?.newestLedgerKey ?? null));
  const { actions, door: { port, ...address } = {} } = options;
  const doorOptions = { host: '127.0.0.1', ...address, verifier, sessions, reporter, actions, log };
  const door = await openDoorAgain(stateDirectory, doorOptions, port);
  const announcer = createAnnouncer({
    issuer,
    signIn,
    state: () => ({
      inUse: options.inUse(),
      facts: facts(),
      door: { url: door.url, certificateSha256: door.certificateSha256() },
    }),
    log,
  });
  let passwords: PasswordKeeper | undefined;
  const onUnenrolled = (): void => {
    log('the device is no longer enrolled');
    void Promise.all([sessions.stop('unenrolled'), door.close(), announcer.stop(), passwords?.stop()])
      .then(() => reporter.stop(0))
      .then(() => options.onUnenrolled?.());
  };
  const watch = watchLiveGrants({ issuer, signIn, liveGrants, log, onUnenrolled });
  await watch.ready.catch(async (error: unknown) => {
    await reporter.stop(0);
    throw error;
  });
  await ledgerKeys?.idle();
  const proofsCount = untilProofsCount(liveGrants.startedAt()!);
  await reporter.recover(seen?.iat ?? null, options.isStillOn);
  liveGrants.onChange(() => reporter.hurry());
  passwords = options.localAdministrator && (await startPasswords(options.localAdministrator));
  await proofsCount;
  await announcer.announce();

  async function startPasswords({ setPassword }: LocalAdministrator): Promise<PasswordKeeper> {
    const encryptionKey = await loadEncryptionKey(stateDirectory);
    const checkEvent = createEventCheck({ ledgerKey, ledgerKeys, witnesses });
    const trust = { issuer, device, keys, encryptionKey, checkEvent, now };
    return keepPassword({ ...trust, setPassword, signIn, liveGrants, reporter, stateDirectory, log });
  }

  return {
    device,
    tenant,
    name: enrolment.name,
    doorUrl: door.url,
    refusals: () => door.refusals(),
    announce: () => announcer.announce(),
    report: (event) => reporter.report(event),
    promise: (last, first) => reporter.promise(last, first),
    useCertificate(certificate) {
      door.useCertificate(certificate);
      return announcer.announce();
    },
    async stop() {
      await announcer.stop();
      await passwords?.stop();
      await watch.stop();
      await sessions.stop();
      await door.close();
      await reporter.stop(reportGraceMs);
    },
  };
}

const highWaterFile = 'live-grants.json';

function loadLiveGrants(
  { issuer, device }: Enrolment,
  directory: string,
  keys: ReturnType<typeof createBrokerKeys>,
  seen: HighWater | null,
): LiveGrants {
  const remember = (next: HighWater) => writeState(directory, highWaterFile, next);
  return createLiveGrants({ issuer, device, keys, seen, remember });
}

/** A file that cannot be read is not taken for one that is not there: that would forget what was seen. */
function readHighWater(value: unknown): HighWater | null {
  if (value === null) return null;
  const { version, iat } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(version) || typeof iat !== 'number') {
    throw new StateError(`\`${highWaterFile}\` does not say which live grants were seen last; enrol the device anew`);
  }
  return { version: version as number, iat };
}

/**
 * A proof names its second: one made in the second of the start cannot be told from one made before it. Call it when the
 * first list has come, which was read at `startedAt`: the agent's own clock is ahead by what the list took on its way,
 * and whoever makes proofs goes by another.
 */
async function untilProofsCount(startedAt: number): Promise<void> {
  const until = performance.now() + Math.ceil(startedAt / 1_000) * 1_000 - startedAt;
  while (performance.now() < until) await sleep(Math.ceil(until - performance.now()));
}

const doorFile = 'door.json';

/** Opens the door where it was before, so that what people wrote down stays true; elsewhere when that is taken. */
async function openDoorAgain(directory: string, options: Omit<DoorOptions, 'port'>, port?: number): Promise<Door> {
  const { port: last } = ((await readState(directory, doorFile)) ?? {}) as { readonly port?: number };
  const wanted = port ?? last ?? 0;
  const door = await openDoor({ ...options, port: wanted }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE' || port !== undefined) throw error;
    return openDoor({ ...options, port: 0 });
  });
  if (door.port !== last) await writeState(directory, doorFile, { port: door.port });
  return door;
}
