import { statfs } from 'node:fs/promises';
import { known, type Machine } from './files.ts';

const sectorBytes = 512;
/** Block devices that are made of memory, of files, or of other block devices. */
const notDisks = /^(?:loop|ram|zram|dm-|md|sr|fd|nbd)/;

/** The drives themselves, whether or not something on them is in use. */
export async function disks(machine: Machine): Promise<readonly Record<string, unknown>[]> {
  const names = (await machine.list('sys/block')).filter((name) => !notDisks.test(name));
  return Promise.all(
    names.map(async (name) => {
      const at = (path: string): string => `sys/block/${name}/${path}`;
      const sectors = await machine.number(at('size'));
      const rotates = await machine.number(at('queue/rotational'));
      return known({
        name,
        model: await machine.text(at('device/model')),
        bytes: sectors === null ? null : sectors * sectorBytes,
        rotates: rotates === null ? null : rotates === 1,
        removable: (await machine.number(at('removable'))) === 1 ? true : null,
        state: await machine.text(at('device/state')),
      });
    }),
  );
}

/** The file systems on drives, and how full they are. */
export async function fileSystems(machine: Machine): Promise<readonly Record<string, unknown>[]> {
  const mounts = ((await machine.text('proc/self/mounts')) ?? '').split('\n').map((line) => line.split(' '));
  // What is mounted more than once is told once.
  const devices = new Map(mounts.filter(([device]) => device?.startsWith('/dev/')).map((m) => [m[0]!, m]));
  const told = await Promise.all(
    [...devices.values()].map(async ([device, mount, type, options]) => {
      const path = mount!.replaceAll(/\\(?<octal>[0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(parseInt(octal, 8)),
      );
      const size = await statfs(machine.place(path)).catch(() => null);
      return known({
        device,
        mount: path,
        type,
        readOnly: options?.split(',').includes('ro') ? true : null,
        bytes: size && size.blocks * size.bsize,
        freeBytes: size && size.bavail * size.bsize,
      });
    }),
  );
  return told;
}
