import { networkInterfaces } from 'node:os';
import { known, type Machine } from './files.ts';

/**
 * Every network interface but the loopback: whether it is up and how well it does. Addresses and host names tell an
 * organisation, so they are left out; how many addresses there are tells what is needed to mend one.
 */
export async function networks(
  machine: Machine,
  addresses: ReturnType<typeof networkInterfaces> = networkInterfaces(),
): Promise<readonly Record<string, unknown>[]> {
  const names = (await machine.list('sys/class/net')).filter((name) => name !== 'lo');
  return Promise.all(
    names.map(async (name) => {
      const at = (path: string): string => `sys/class/net/${name}/${path}`;
      const speed = await machine.number(at('speed')).catch(() => null);
      const count = (family: string): number => (addresses[name] ?? []).filter((each) => each.family === family).length;
      return known({
        name,
        kind: (await machine.list(`sys/class/net/${name}`)).includes('wireless') ? 'wireless' : 'wired',
        state: await machine.text(at('operstate')),
        megabits: speed !== null && speed > 0 ? speed : null,
        mtu: await machine.number(at('mtu')),
        ipv4Addresses: count('IPv4'),
        ipv6Addresses: count('IPv6'),
        receivedBytes: await machine.number(at('statistics/rx_bytes')),
        sentBytes: await machine.number(at('statistics/tx_bytes')),
        receiveErrors: await machine.number(at('statistics/rx_errors')),
        sendErrors: await machine.number(at('statistics/tx_errors')),
      });
    }),
  );
}
