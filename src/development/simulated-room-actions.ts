import { setTimeout as sleep } from 'node:timers/promises';
import type { Action, ActionContext, Actions, DeclaredAction } from '../agent/actions.ts';
import type { ParameterDescription } from '../agent/describe-action.ts';
import type { ActionArguments } from '../agent/device-events.ts';
import type { RoomPanel } from './simulated-room-panel.ts';

/** Exit codes as of sysexits.h: what was asked makes no sense, what is asked of does not answer. */
const usage = 64;
const unavailable = 69;

type PanelAction = (panel: RoomPanel, args: ActionArguments, context: ActionContext) => Promise<number>;

/**
 * What a simulated room does for each scope of the shipped profiles but `secret.read:local-admin`: a panel without a
 * secrets store has none to read. `changed` is called after an action that changed what the panel says of itself.
 */
export function simulatedRoomActions(panel: RoomPanel, changed: () => void): Actions {
  const whenUp =
    (act: PanelAction): Action =>
    async (args, context) => {
      if (!panel.isDown()) return act(panel, args, context);
      await context.stderr(`${panel.hostname} does not answer: it is restarting\n`);
      return unavailable;
    };
  const thenTell =
    (act: PanelAction): PanelAction =>
    async (...all) => {
      const exit = await act(...all);
      changed();
      return exit;
    };
  return new Map([
    ['device.inspect', told('what the device is and how it is doing', whenUp(inspect), parameters.inspect)],
    ['device.reboot', told('restart the device', whenUp(thenTell(reboot)))],
    ['usb.reset', told('reset USB devices', whenUp(thenTell(resetUsb)), parameters.resetUsb)],
    ['app.restart', told('restart the room’s app', whenUp(restartApp))],
    ['logs.collect:system', told('the newest lines of the log', whenUp(collectSystemLogs), parameters.logs)],
    ['logs.collect:identity', told('who signed in', whenUp(collectIdentityLogs), [], 'EUII')],
    ['software.update', told('install a version of the app', whenUp(thenTell(updateSoftware)), parameters.update)],
    ['session.remote-admin', told('do one command of a small set', whenUp(administer), parameters.administer, 'EUII')],
  ]);
}

const optional = (
  name: string,
  type: ParameterDescription['type'],
  description: string,
  more: Partial<ParameterDescription> = {},
): ParameterDescription => ({ name, type, description, required: false, ...more });

const parameters = {
  inspect: [optional('watch', 'boolean', 'every second until it is cut off')],
  resetUsb: [optional('device', 'text', 'the product; all when absent', { example: 'Speakerphone' })],
  logs: [
    optional('lines', 'integer', 'how many', { minimum: 1, maximum: 500, default: 20 }),
    optional('follow', 'boolean', 'go on until it is cut off'),
  ],
  update: [optional('version', 'text', 'the next one when absent', { example: '5.2.118' })],
  administer: [optional('command', 'text', '`help` says which there are', { example: 'uptime' })],
} as const;

const longestSeconds = 3_600;

/** An action that says what it takes, and judges it itself once it runs. */
function told(
  description: string,
  action: Action,
  taken: readonly ParameterDescription[] = [],
  dataClass = 'System Metadata',
): DeclaredAction {
  return {
    about: { description, dataClass, timeLimitSeconds: longestSeconds, parameters: taken },
    prepare: async (args) => (context) => action(args, context),
  };
}

/** Prints the facts as JSON; with `watch`, every second until it is cut off. */
const inspect: PanelAction = async (panel, { watch }, context) => {
  await context.stdout(`${JSON.stringify(panel.facts(), null, 2)}\n`);
  if (watch !== true) return 0;
  return repeat(1_000, context, () => `${JSON.stringify(panel.facts())}\n`);
};

const reboot: PanelAction = async (panel, _args, { stdout }) => {
  await stdout(`${panel.hostname}: going down for a restart\n`);
  await panel.reboot();
  await stdout(`${panel.hostname}: back, uptime ${String(panel.facts()['uptimeSeconds'])} s\n`);
  return 0;
};

/** Resets every device on the bus, or the one named by `device`. */
const resetUsb: PanelAction = async (panel, { device }, { stdout, stderr }) => {
  const count = await panel.resetUsb(device === undefined ? null : String(device));
  if (count === 0) {
    await stderr(`there is no USB device \`${String(device)}\`\n`);
    return usage;
  }
  for (const { bus, address, product } of panel.usb()) await stdout(`bus ${bus} device ${address}: ${product}\n`);
  return 0;
};

const restartApp: PanelAction = async (panel, _args, { stdout }) => {
  await stdout(`room-app ${panel.appVersion()}: stopping\n`);
  await panel.restartApp();
  await stdout(`room-app ${panel.appVersion()}: ready\n`);
  return 0;
};

/** Prints the newest `lines` (default 20) of the log; with `follow`, goes on until it is cut off. */
const collectSystemLogs: PanelAction = async (panel, { lines = 20, follow }, context) => {
  const count = Number(lines);
  if (!Number.isInteger(count) || count < 1 || count > 500) {
    await context.stderr('`lines` is a whole number from 1 to 500\n');
    return usage;
  }
  for (const line of panel.log(count)) await context.stdout(`${line}\n`);
  if (follow !== true) return 0;
  return repeat(500, context, () => `${panel.log(1)[0]}\n`);
};

const collectIdentityLogs: PanelAction = async (panel, _args, { stdout }) => {
  const account = `${panel.hostname}@rooms.contoso.example`;
  const at = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
  await stdout(`${at(190)} sign-in of ${account}: accepted (certificate)\n`);
  await stdout(`${at(64)} sign-in of ${account}: token refreshed\n`);
  await stdout(`${at(3)} calendar of ${account}: subject and attendees left out by the device\n`);
  return 0;
};

/** Installs the `version` asked for, or the next one. */
const updateSoftware: PanelAction = async (panel, { version }, { stdout, stderr, signal }) => {
  const [major, minor, patch] = panel.appVersion().split('.').map(Number) as [number, number, number];
  const wanted = version === undefined ? `${major}.${minor}.${patch + 1}` : String(version);
  if (!/^\d{1,4}(?:\.\d{1,4}){2}$/.test(wanted)) {
    await stderr('`version` is written like 5.2.118\n');
    return usage;
  }
  for (const percent of [0, 25, 50, 75, 100]) {
    await stdout(`room-app ${wanted}: ${percent} %\n`);
    await pause(120, signal);
    // What is half downloaded is not installed.
    if (signal.aborted) return unavailable;
  }
  await panel.update(wanted);
  await stdout(`room-app ${wanted}: installed\n`);
  return 0;
};

type Command = (panel: RoomPanel, rest: string) => string;

const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['echo', (_panel, rest) => rest],
  ['hostname', (panel) => panel.hostname],
  ['uptime', (panel) => `up ${String(panel.facts()['uptimeSeconds'])} s`],
  ['whoami', () => 'room-admin'],
  ['lsusb', (panel) => panel.usb().map(describeUsb).join('\n')],
  ['version', (panel) => panel.appVersion()],
  ['tail', (panel) => panel.log(5).join('\n')],
  ['help', () => 'echo help hostname lsusb tail uptime version whoami'],
]);

/** Does one `command` of a small, fixed set: there is no shell behind it. */
const administer: PanelAction = async (panel, { command = 'help' }, { stdout, stderr }) => {
  const [name, rest] = splitOnce(String(command).trim());
  const found = commands.get(name);
  if (found) {
    await stdout(`${found(panel, rest)}\n`);
    return 0;
  }
  await stderr(`there is no command \`${name}\`; try \`help\`\n`);
  return 127;
};

function splitOnce(text: string): readonly [string, string] {
  const space = text.indexOf(' ');
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1)];
}

function describeUsb({ bus, address, product }: ReturnType<RoomPanel['usb']>[number]): string {
  return `bus ${bus} device ${address}: ${product}`;
}

/** Writes again and again, until it is cut off. */
async function repeat(milliseconds: number, { signal, stdout }: ActionContext, text: () => string): Promise<number> {
  for (;;) {
    await pause(milliseconds, signal);
    if (signal.aborted) return 0;
    await stdout(text());
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
}
