import { setTimeout as sleep } from 'node:timers/promises';
import { known, type Machine } from './files.ts';

/** What vendors write where they had nothing to say. */
const nothingSaid =
  /^(?:to be filled.*|default string|not (?:specified|applicable)|none|0+|system (?:serial|product).*)$/i;

/** Serial, make and model as the firmware tells them: SMBIOS, or a device tree. Serials are root's to read. */
export async function identity(machine: Machine): Promise<Record<string, unknown>> {
  const dmi = async (name: string): Promise<string | null> => {
    const text = await machine.text(`sys/class/dmi/id/${name}`);
    return text === null || nothingSaid.test(text) ? null : text;
  };
  const tree = (name: string) => machine.text(`proc/device-tree/${name}`);
  return known({
    serial: (await dmi('product_serial')) ?? (await dmi('board_serial')) ?? (await tree('serial-number')),
    make: (await dmi('sys_vendor')) ?? (await tree('compatible'))?.split(',')[0],
    model: (await dmi('product_name')) ?? (await tree('model')),
    firmware: await dmi('bios_version'),
  });
}

/** Its distribution and kernel, and since how many seconds it runs. */
export async function operatingSystem(machine: Machine): Promise<Record<string, unknown>> {
  const release = (await machine.text('etc/os-release')) ?? (await machine.text('usr/lib/os-release')) ?? '';
  const name = /^PRETTY_NAME=(?<quote>["']?)(?<name>.*)\k<quote>$/m.exec(release)?.groups?.['name'];
  const uptime = Number((await machine.text('proc/uptime'))?.split(' ')[0] ?? Number.NaN);
  return known({
    os: name,
    kernel: await machine.text('proc/sys/kernel/osrelease'),
    uptimeSeconds: Number.isFinite(uptime) ? Math.floor(uptime) : null,
  });
}

/** How long the processors are watched to say how busy they are. */
const watchMs = 250;

export async function processors(machine: Machine): Promise<Record<string, unknown>> {
  const info = (await machine.text('proc/cpuinfo')) ?? '';
  const load = (await machine.text('proc/loadavg'))?.split(' ').slice(0, 3).map(Number);
  const before = await busyTicks(machine);
  await sleep(watchMs);
  const after = await busyTicks(machine);
  const total = before && after ? after.total - before.total : 0;
  return known({
    model: /^(?:model name|Model|Hardware)\s*: (?<model>.+)$/m.exec(info)?.groups?.['model'],
    count: info.match(/^processor\s*:/gm)?.length,
    loadAverages: load,
    busyPercent: total > 0 ? Math.round(((after!.busy - before!.busy) / total) * 100) : null,
  });
}

/** proc_stat(5): user, nice, system, idle, iowait and what more a kernel counts. */
async function busyTicks(machine: Machine): Promise<{ readonly busy: number; readonly total: number } | null> {
  const line = /^cpu +(?<ticks>[\d ]+)$/m.exec((await machine.text('proc/stat')) ?? '')?.groups?.['ticks'];
  if (line === undefined) return null;
  const ticks = line.split(' ').map(Number);
  const total = ticks.slice(0, 8).reduce((sum, each) => sum + each, 0);
  return { busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), total };
}

export async function memory(machine: Machine): Promise<Record<string, unknown>> {
  const info = (await machine.text('proc/meminfo')) ?? '';
  const bytes = (name: string): number | null => {
    const kibibytes = new RegExp(`^${name}: +(?<amount>\\d+) kB$`, 'm').exec(info)?.groups?.['amount'];
    return kibibytes === undefined ? null : Number(kibibytes) * 1_024;
  };
  return known({
    totalBytes: bytes('MemTotal'),
    availableBytes: bytes('MemAvailable'),
    swapBytes: bytes('SwapTotal'),
    swapFreeBytes: bytes('SwapFree'),
  });
}
