import type { Client } from './client.ts';
import type { Device } from './answers.ts';

/** Names for devices that answers mention by id alone. */
export type DeviceNames = (id: string) => string;

/** More than this many different devices on one screen are looked up no further: their ids say enough. */
const mostLookUps = 40;

/** Looks up the names of the devices mentioned; one that may not be seen, or is gone, keeps its id for a name. */
export async function lookUpNames(client: Client, ids: Iterable<string>): Promise<DeviceNames> {
  const wanted = [...new Set(ids)].slice(0, mostLookUps);
  const found = await Promise.all(
    wanted.map(async (id): Promise<[string, string]> => {
      const device = await client.device(id).catch(() => null);
      return [id, device ? deviceName(device) : id];
    }),
  );
  const names = new Map(found);
  return (id) => names.get(id) ?? id;
}

/** What people call a device: its name, else its host name, else its id. */
export function deviceName(device: Device): string {
  const hostname = device.facts['hostname'];
  return device.name || (typeof hostname === 'string' && hostname) || device.id;
}

/** The names of devices for a narrow column: of several their number comes first, so that cutting never hides it. */
export function namesInShort(ids: readonly string[], names: DeviceNames): string {
  const listed = ids.map(names).join(', ') || 'none';
  return ids.length > 1 ? `${ids.length}: ${listed}` : listed;
}
