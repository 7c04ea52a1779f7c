import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from './files.ts';
import { cannot, exitCodes, say } from './tools.ts';
import { listUsb, usbDevices, type UsbDevice } from './usb.ts';

const offMs = 500;
const backMs = 2_000;

/**
 * Takes USB devices off their bus and lets them on again, as if they were unplugged and plugged in: one, by where it is
 * plugged in or by its vendor and product, or all but the hubs. @returns an exit code.
 */
export async function resetUsb(machine: Machine, wanted: string | null, isDry: boolean): Promise<number> {
  const all = await listUsb(machine);
  if (all.length === 0) return cannot('this device has no USB devices');
  const meant = all.filter((device) => (wanted === null ? !device.isHub : [device.port, device.id].includes(wanted)));
  if (meant.length === 0) {
    process.stderr.write(`there is no USB device \`${wanted ?? ''}\`\n`);
    return exitCodes.usage;
  }
  for (const device of meant) await say(`${isDry ? 'would reset' : 'resetting'} ${words(device)}\n`);
  if (isDry) return exitCodes.done;
  // If we were stopped in between, a device would stay off: who asks us to end waits for less than KILL would take.
  process.on('SIGTERM', () => undefined);
  const failed = await authorize(machine, meant, '0');
  await sleep(offMs);
  const dark = await authorize(machine, meant, '1');
  process.removeAllListeners('SIGTERM');
  await sleep(backMs);
  const back = (await listUsb(machine)).map(({ port }) => port);
  const missing = meant.filter(({ port }) => !back.includes(port));
  for (const device of missing) await say(`${words(device)} has not come back\n`);
  for (const why of new Set([...failed, ...dark])) process.stderr.write(`${why}\n`);
  return missing.length > 0 || failed.length > 0 || dark.length > 0 ? exitCodes.failed : exitCodes.done;
}

/** Whether the kernel talks to a device at all. @returns what went wrong. */
async function authorize(machine: Machine, devices: readonly UsbDevice[], value: '0' | '1'): Promise<string[]> {
  const mistakes: string[] = [];
  for (const { port } of devices) {
    const file = machine.place(`${usbDevices}/${port}/authorized`);
    await writeFile(file, value, { flag: 'r+' }).catch((error: Error) => mistakes.push(error.message));
  }
  return mistakes;
}

function words({ port, id, name }: UsbDevice): string {
  return [port, id, name].filter(Boolean).join(' ');
}
