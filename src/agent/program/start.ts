import { readFile, stat } from 'node:fs/promises';
import type { DoorCertificate } from '../door-server.ts';
import type { DeviceId } from '../../domain/ids.ts';
import { startAgent } from '../start-agent.ts';
import { readState } from '../state-directory.ts';
import { actionsOf } from './actions-of.ts';
import { openControlGroups } from './cgroup.ts';
import { AgentConfigError, type AgentConfig } from './config.ts';
import { loadDoorCertificate } from './door-certificate.ts';
import { createFacts } from './facts.ts';
import { reapLeft } from './reap.ts';
import { createRunningActions, leftActions } from './running-actions.ts';
import { passwordSetter } from './set-password.ts';

export interface AgentLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** The agent of a device, as a program runs it. */
export interface RunningAgent {
  readonly device: DeviceId;
  readonly doorUrl: string;
  /** Resolves when the broker has taken the device out; every session has ended by then. */
  readonly unenrolled: Promise<void>;
  /** Ends every session and what runs in it, reports what it can, shuts the door. */
  stop(): Promise<void>;
}

const dayMs = 86_400_000;
const announceEveryMs = 300_000;

/**
 * Starts the agent that a configuration describes: ends what the last one left running, enrols at the first start, and
 * resolves once the broker knows the door.
 * @throws AgentConfigError when the device is not enrolled and the configuration has no code for it.
 * @throws BrokerError or StateError as `startAgent` does.
 */
export async function startAgentProgram(config: AgentConfig, log: AgentLog): Promise<RunningAgent> {
  const { stateDirectory } = config;
  // On a machine for development nobody's password is changed.
  const localAdministrator = config.dryRun ? null : config.localAdministrator;
  const left = await leftActions(stateDirectory);
  const tell = (message: string, details: object = {}): void => log.info(details, message);
  const running = createRunningActions(stateDirectory, left);
  const stuck = await reapLeft(left, running, tell);
  const code = await enrolmentCode(config);
  const account = localAdministrator && 'account' in localAdministrator ? localAdministrator.account : null;
  const facts = await createFacts({ ...(account && { localAdministrator: account }), ...config.facts });
  const controlGroups = openControlGroups();
  const loadTls = () => loadDoorCertificate(stateDirectory, doorHosts(config.door), Date.now());
  let shown: DoorCertificate | null = config.door.hasTls ? await loadTls() : null;
  const { host, port, url } = config.door;
  const unenrolled = Promise.withResolvers<void>();
  const agent = await startAgent({
    brokerUrl: config.brokerUrl,
    stateDirectory,
    ...(code === null ? {} : { enrolmentCode: code }),
    ...(config.witnesses === null ? {} : { witnesses: config.witnesses }),
    actions: actionsOf(config.actions, { running, controlGroups, dryRun: config.dryRun, log: tell }),
    facts: () => facts.now(),
    inUse: () => false,
    ...(localAdministrator && { localAdministrator: { setPassword: passwordSetter(localAdministrator) } }),
    door: {
      host,
      ...(port === 0 ? {} : { port }),
      ...(url === undefined ? {} : { url }),
      ...(shown && { tls: shown }),
    },
    onUnenrolled: () => unenrolled.resolve(),
    isStillOn: (session) => stuck.some((action) => action.session === session),
    log: tell,
  });

  /** A certificate is looked at every day, and what the device says of itself every five minutes. */
  async function renew(): Promise<void> {
    if (shown === null) return;
    const next = await loadTls();
    if (next.certificate === shown.certificate) return;
    shown = next;
    await agent.useCertificate(next);
    log.info({}, 'the door shows a new certificate');
  }
  const timers = [
    setInterval(() => void renew().catch((error: Error) => log.warn({ why: error.message }, 'no certificate')), dayMs),
    setInterval(() => void facts.refresh().then(() => agent.announce()), announceEveryMs),
  ];
  return {
    device: agent.device,
    doorUrl: agent.doorUrl,
    unenrolled: unenrolled.promise,
    async stop() {
      timers.forEach((timer) => clearInterval(timer));
      await agent.stop();
    },
  };
}

/** The names that the door's certificate carries: those it is called by. */
function doorHosts({ host, url }: AgentConfig['door']): string[] {
  const called = url === undefined ? host : new URL(url).hostname.replace(/^\[|\]$/g, '');
  return [called];
}

/** Asked for only while the device is not enrolled: afterwards the code is worth nothing, and its file may be gone. */
async function enrolmentCode(config: AgentConfig): Promise<string | null> {
  if ((await readState(config.stateDirectory, 'device.json')) !== null) return null;
  if (config.enrolmentCode !== null) return config.enrolmentCode;
  const fail = (message: string, pointer = '/enrolmentCodeFile') =>
    new AgentConfigError('the configuration', [{ pointer, message }]);
  const { enrolmentCodeFile: file } = config;
  if (file === null) throw fail('is missing: the device is not enrolled yet', '/enrolmentCode');
  try {
    if (process.platform !== 'win32' && ((await stat(file)).mode & 0o007) !== 0) {
      throw fail(`\`${file}\` is open to every user of the machine; run \`chmod o=\` on it`);
    }
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (error instanceof AgentConfigError) throw error;
    throw fail(`\`${file}\` cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
}
