import { known, type Machine } from './files.ts';

/** Every temperature that the kernel tells, in degrees Celsius. */
export async function temperatures(machine: Machine): Promise<readonly Record<string, unknown>[]> {
  const zones = (await machine.list('sys/class/thermal')).filter((name) => name.startsWith('thermal_zone'));
  const ofZones = zones.map((zone) =>
    temperature(machine, `sys/class/thermal/${zone}/type`, `sys/class/thermal/${zone}/temp`),
  );
  const chips = await machine.list('sys/class/hwmon');
  const ofChips = chips.map(async (chip) => {
    const place = `sys/class/hwmon/${chip}`;
    const inputs = (await machine.list(place)).filter((name) => /^temp\d+_input$/.test(name));
    const name = await machine.text(`${place}/name`);
    return Promise.all(
      inputs.map(async (input) => {
        const label = await machine.text(`${place}/${input.replace('_input', '_label')}`);
        const found = await temperature(machine, null, `${place}/${input}`);
        return found && { ...found, sensor: [name, label].filter(Boolean).join(' ') || chip };
      }),
    );
  });
  const all = [...(await Promise.all(ofZones)), ...(await Promise.all(ofChips)).flat()];
  return all.filter((each) => each !== null);
}

async function temperature(machine: Machine, name: string | null, path: string) {
  const thousandths = await machine.number(path);
  // A sensor without a chip behind it reads as the coldest or the hottest there can be.
  if (thousandths === null || thousandths <= -40_000 || thousandths >= 200_000) return null;
  return { sensor: (name && (await machine.text(name))) ?? 'unknown', celsius: Math.round(thousandths / 100) / 10 };
}

/** Every socket for a display, and what is plugged into it. */
export async function displays(machine: Machine): Promise<readonly Record<string, unknown>[]> {
  const sockets = (await machine.list('sys/class/drm')).filter((name) => /^card\d+-/.test(name));
  return Promise.all(
    sockets.map(async (socket) => {
      const place = `sys/class/drm/${socket}`;
      const edid = await machine.bytes(`${place}/edid`);
      const modes = await machine.text(`${place}/modes`);
      return known({
        socket: socket.replace(/^card\d+-/, ''),
        connected: (await machine.text(`${place}/status`)) === 'connected',
        enabled: (await machine.text(`${place}/enabled`)) === 'enabled',
        name: edid && displayName(edid),
        // The kernel lists the best first.
        resolution: modes?.split('\n')[0],
      });
    }),
  );
}

/** The name in a display's description (VESA E-EDID §3.10.3.4): the descriptor with tag 0xfc. */
export function displayName(edid: Buffer): string | null {
  for (let at = 54; at + 18 <= Math.min(edid.length, 126); at += 18) {
    if (edid.readUIntBE(at, 3) !== 0 || edid[at + 3] !== 0xfc) continue;
    const name = edid
      .toString('latin1', at + 5, at + 18)
      .split('\n', 1)[0]!
      .trim();
    return /^[\x20-\x7e]+$/.test(name) ? name : null;
  }
  return null;
}
