import { setTimeout as sleep } from 'node:timers/promises';
import { readState, writeState } from '../agent/state-directory.ts';

/** What kind of panel a simulated room has. */
export interface PanelModel {
  readonly name: string;
  readonly serial: string;
  readonly make: string;
  readonly model: string;
}

export interface UsbDevice {
  readonly bus: number;
  readonly address: number;
  readonly product: string;
}

/** A meeting room's panel that changes when it is acted on, as a real one would. Times are milliseconds. */
export interface RoomPanel {
  readonly hostname: string;
  /** What it says of itself; also what an agent reports to its broker. */
  facts(): Readonly<Record<string, unknown>>;
  inUse(): boolean;
  /** True while it restarts and answers nothing. */
  isDown(): boolean;
  appVersion(): string;
  usb(): readonly UsbDevice[];
  /** The newest lines of its log, oldest first. */
  log(lines: number): readonly string[];
  /** Goes down for a second and comes back with an uptime of nothing. */
  reboot(): Promise<void>;
  restartApp(): Promise<void>;
  /** Takes devices off the bus and finds them again under new addresses; returns how many. */
  resetUsb(product: string | null): Promise<number>;
  update(version: string): Promise<void>;
}

const fileName = 'panel.json';
const downMs = 1_000;
const longestLog = 500;

interface Kept {
  readonly bootedAt: number;
  readonly appVersion: string;
}

/** A panel whose boot time and software are kept in the directory, so that it is the same panel after a restart. */
export async function createRoomPanel(model: PanelModel, directory: string): Promise<RoomPanel> {
  const hostname = model.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  const random = randomFrom(model.serial);
  let kept = ((await readState(directory, fileName)) as Kept | null) ?? {
    bootedAt: Date.now() - Math.floor(random() * 9 * 86_400_000),
    appVersion: '5.2.117',
  };
  let downUntil = 0;
  let nextAddress = 2;
  let usb = ['Conference camera 4K', 'Speakerphone', 'Touch controller', 'Content ingest HDMI'].map(plug);
  const lines: string[] = [];
  for (let i = 40; i > 0; i--) note(pick(routine), Date.now() - i * 47_000);

  function note(text: string, at = Date.now()): void {
    lines.push(`${new Date(at).toISOString()} ${hostname} ${text}`);
    if (lines.length > longestLog) lines.shift();
  }

  function pick(texts: readonly string[]): string {
    return texts[Math.floor(random() * texts.length)]!;
  }

  function plug(product: string): UsbDevice {
    return { bus: 1, address: nextAddress++, product };
  }

  async function keep(next: Kept): Promise<void> {
    kept = next;
    await writeState(directory, fileName, next);
  }

  const uptime = () => Math.max(0, Math.floor((Date.now() - Math.max(kept.bootedAt, downUntil)) / 1_000));
  /** Warm by day and by use, a little noise: enough to look at. */
  const temperature = () => Math.round((41 + 3 * Math.sin(Date.now() / 3_600_000) + random()) * 10) / 10;

  note(`kernel: up for ${uptime()} s`);
  return {
    hostname,
    facts: () => ({
      hostname,
      serial: model.serial,
      make: model.make,
      model: model.model,
      os: 'Room OS 11.4 (6.6 LTS)',
      appVersion: kept.appVersion,
      displays: [
        { name: 'Front left', resolution: '3840x2160', connected: true },
        { name: 'Front right', resolution: '3840x2160', connected: true },
      ],
      usb: usb.map(({ bus, address, product }) => `${bus}:${address} ${product}`),
      temperatureCelsius: temperature(),
      uptimeSeconds: uptime(),
    }),
    inUse: () => false,
    isDown: () => Date.now() < downUntil,
    appVersion: () => kept.appVersion,
    usb: () => usb,
    log(count) {
      note(pick(routine));
      return lines.slice(-count);
    },
    async reboot() {
      note('systemd: system is going down for a restart');
      downUntil = Date.now() + downMs;
      await keep({ ...kept, bootedAt: downUntil });
      await sleep(downMs);
      usb = usb.map(({ product }) => plug(product));
      note('kernel: restarted on request');
    },
    async restartApp() {
      note(`room-app[${kept.appVersion}]: stopping`);
      await sleep(150);
      note(`room-app[${kept.appVersion}]: ready, signed in to the calendar`);
    },
    async resetUsb(product) {
      const isMeant = (device: UsbDevice) => product === null || device.product === product;
      const meant = usb.filter(isMeant).length;
      if (meant > 0) note(`usb 1: resetting ${meant} device(s)`);
      await sleep(100);
      usb = usb.map((device) => (isMeant(device) ? plug(device.product) : device));
      return meant;
    },
    async update(version) {
      note(`updater: ${kept.appVersion} -> ${version}`);
      await keep({ ...kept, appVersion: version });
    },
  };
}

const routine = [
  'room-app: calendar synchronised, next meeting in 42 min',
  'room-app: presence sensor: nobody in the room',
  'display-manager: front left: EDID read, 3840x2160 at 60 Hz',
  'audio: speakerphone: level check passed',
  'network: lease renewed for 12 h',
  'thermal: fan at 31 %',
  'camera: idle, lens parked',
];

/** Numbers that look random and are the same for one serial: a simulation that can be looked at twice. */
function randomFrom(seed: string): () => number {
  let state = [...Buffer.from(seed)].reduce((sum, byte) => (sum * 31 + byte) % 2_147_483_647, 7);
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
