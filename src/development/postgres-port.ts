import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/** Somebody else listens on the port. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken';
}

/** Starts something on the wanted port, or on one that is free, and returns it with its port. */
export async function startOnFreePort<T>(
  wanted: number | null,
  start: (port: number) => Promise<T>,
): Promise<{ started: T; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(attempt === 1 ? wanted : null);
    try {
      return { started: await start(port), port };
    } catch (error) {
      // Between our look and the server's, someone else may have taken the port.
      if (!(error instanceof PortTaken) || attempt === 5) throw error;
    }
  }
}

/** The wanted port of the loopback address if it is free, else one that is. */
async function freePort(wanted: number | null): Promise<number> {
  const probe = createServer();
  try {
    probe.listen(wanted ?? 0, '127.0.0.1');
    await once(probe, 'listening');
  } catch (error) {
    if (wanted === null) throw error;
    return freePort(null);
  }
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
