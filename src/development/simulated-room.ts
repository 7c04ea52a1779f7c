import { startAgent, type Agent } from '../agent/index.ts';
import type { DeviceId } from '../domain/ids.ts';
import { simulatedRoomActions } from './simulated-room-actions.ts';
import { openSimulatedAccount } from './simulated-account.ts';
import { createRoomPanel, type PanelModel } from './simulated-room-panel.ts';

export interface SimulatedRoomOptions extends PanelModel {
  /** The broker's `publicUrl`. */
  readonly brokerUrl: string;
  readonly stateDirectory: string;
  /** Needed the first time only: a room that is enrolled stays the same device. */
  readonly enrolmentCode?: string;
  /** The port of its door; when not given, the one used before, or a free one. */
  readonly port?: number;
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

export interface SimulatedRoom {
  readonly deviceId: DeviceId;
  readonly doorUrl: string;
  /** Whether its simulated local administrator signs in with that password. */
  signsIn(password: string): Promise<boolean>;
  /** Ends its sessions, reports them, and shuts the door. */
  stop(): Promise<void>;
}

const announceEveryMs = 30_000;

/**
 * Starts a simulated meeting room with a real agent at its door: enrolled, signed in, its door known to the broker,
 * ready to take sessions when this resolves. Only the panel behind the door is made up.
 */
export async function startSimulatedRoom(options: SimulatedRoomOptions): Promise<SimulatedRoom> {
  const { brokerUrl, stateDirectory, enrolmentCode, port, log } = options;
  const panel = await createRoomPanel(options, stateDirectory);
  const account = openSimulatedAccount(stateDirectory);
  let agent: Agent | null = null;
  const announce = () => void agent?.announce();
  agent = await startAgent({
    brokerUrl,
    stateDirectory,
    actions: simulatedRoomActions(panel, announce),
    facts: () => ({ ...panel.facts(), localAdministrator: account.name }),
    inUse: () => panel.inUse(),
    localAdministrator: account,
    ...(enrolmentCode === undefined ? {} : { enrolmentCode }),
    ...(port === undefined ? {} : { door: { port } }),
    ...(log === undefined ? {} : { log }),
  });
  const { device: deviceId, doorUrl, stop } = agent;
  const timer = setInterval(announce, announceEveryMs);
  timer.unref();
  return {
    deviceId,
    doorUrl,
    signsIn: (password) => account.signsIn(password),
    async stop() {
      clearInterval(timer);
      await stop();
    },
  };
}
