import { known, type Machine } from './files.ts';

/** A device on a USB, as the kernel knows it. */
export interface UsbDevice {
  /** Where it is plugged in, such as `1-2.4`: bus, and port by port. */
  readonly port: string;
  /** Vendor and product, such as `046d:085e`. */
  readonly id: string;
  readonly name: string | null;
  readonly serial: string | null;
  readonly megabits: number | null;
  /** A hub has others behind it. */
  readonly isHub: boolean;
}

const hubClass = '09';
export const usbDevices = 'sys/bus/usb/devices';

/** Every device on every bus, but the buses themselves. */
export async function listUsb(machine: Machine): Promise<readonly UsbDevice[]> {
  const ports = (await machine.list(usbDevices)).filter((name) => /^\d+-\d+(?:\.\d+)*$/.test(name));
  const devices = await Promise.all(
    ports.map(async (port): Promise<UsbDevice | null> => {
      const read = (name: string): Promise<string | null> => machine.text(`${usbDevices}/${port}/${name}`);
      const [vendor, product] = [await read('idVendor'), await read('idProduct')];
      if (vendor === null || product === null) return null;
      const names = [await read('manufacturer'), await read('product')].filter((name) => name !== null);
      const speed = Number((await read('speed')) ?? Number.NaN);
      return {
        port,
        id: `${vendor}:${product}`,
        name: names.join(' ') || null,
        serial: await read('serial'),
        megabits: Number.isFinite(speed) ? speed : null,
        isHub: (await read('bDeviceClass')) === hubClass,
      };
    }),
  );
  return devices.filter((device) => device !== null);
}

/** A device without what is not known of it. */
export function describeUsb({ isHub, ...device }: UsbDevice): Record<string, unknown> {
  return known({ ...device, hub: isHub ? true : null });
}
