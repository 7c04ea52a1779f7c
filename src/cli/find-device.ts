import { isId } from '../domain/ids.ts';
import type { Device } from './answers.ts';
import type { Client } from './client.ts';
import { deviceName } from './device-names.ts';
import { Failure } from './failure.ts';

/** How many devices a look-up by name reads at most; a name that is in more of them is no name. */
const mostCandidates = 200;

/**
 * Finds the device that someone means: by id, or by its exact name, host name or serial number (upper and lower case
 * alike). @throws Failure when there is none, or more than one.
 */
export async function findDevice(client: Client, text: string): Promise<Device> {
  if (isId('device', text)) return client.device(text);
  const { items } = await client.devices({ q: text }, mostCandidates);
  const matches = items.filter((device) => namesOf(device).includes(text.toLowerCase()));
  if (matches.length === 1) return matches[0]!;
  if (matches.length === 0) throw unknownDevice(text, items);
  throw new Failure('failed', `\`${text}\` may be any of ${matches.length} devices`, {
    hint: `name it by its id: ${matches.slice(0, 5).map(describe).join(', ')}`,
  });
}

/** Finds several devices, each once, in the order named. */
export async function findDevices(client: Client, texts: readonly string[]): Promise<readonly Device[]> {
  const found = await Promise.all(texts.map((text) => findDevice(client, text)));
  return [...new Map(found.map((device) => [device.id, device])).values()];
}

function namesOf(device: Device): readonly string[] {
  const candidates = [device.name, device.facts['hostname'], device.facts['serial']];
  return candidates.filter((name) => typeof name === 'string').map((name) => name.toLowerCase());
}

function unknownDevice(text: string, near: readonly Device[]): Failure {
  const hint =
    near.length > 0
      ? `did you mean ${near.slice(0, 3).map(describe).join(', ')}?`
      : 'see the devices there are with `latchkey devices`';
  return new Failure('failed', `you see no device with the id, name, host name or serial number \`${text}\``, { hint });
}

function describe(device: Device): string {
  return `\`${deviceName(device)}\` (${device.id})`;
}
