import type { Machine } from './files.ts';
import { networks } from './network.ts';
import { displays, temperatures } from './sensors.ts';
import { disks, fileSystems } from './storage.ts';
import { identity, memory, operatingSystem, processors } from './system.ts';
import { describeUsb, listUsb } from './usb.ts';

/** What the device is and how it is doing; what it does not tell is left out. All of it is System Metadata. */
export async function inspect(machine: Machine): Promise<Record<string, unknown>> {
  return {
    ...(await identity(machine)),
    ...(await operatingSystem(machine)),
    processors: await processors(machine),
    memory: await memory(machine),
    disks: await disks(machine),
    fileSystems: await fileSystems(machine),
    temperatures: await temperatures(machine),
    displays: await displays(machine),
    usb: (await listUsb(machine)).map(describeUsb),
    network: await networks(machine),
  };
}
