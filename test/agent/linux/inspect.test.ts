import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openMachine, type Machine } from '../../../src/agent/linux/files.ts';
import { inspect } from '../../../src/agent/linux/inspect.ts';
import { networks } from '../../../src/agent/linux/network.ts';
import { resetUsb } from '../../../src/agent/linux/reset-usb.ts';
import { displayName } from '../../../src/agent/linux/sensors.ts';
import { listUsb } from '../../../src/agent/linux/usb.ts';

let root: string;
let machine: Machine;

const usb = 'sys/bus/usb/devices';
const files: Record<string, string | Buffer> = {
  'sys/class/dmi/id/product_serial': 'MTR-0042\n',
  'sys/class/dmi/id/sys_vendor': 'Crestwood\n',
  'sys/class/dmi/id/product_name': 'Panel 10\n',
  'sys/class/dmi/id/bios_version': 'To be filled by O.E.M.\n',
  'etc/os-release': 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
  'proc/sys/kernel/osrelease': '6.6.1\n',
  'proc/uptime': '1234.56 4000.00\n',
  'proc/cpuinfo': 'processor\t: 0\nmodel name\t: Quick 9000\n\nprocessor\t: 1\nmodel name\t: Quick 9000\n',
  'proc/loadavg': '0.50 0.25 0.10 1/200 1234\n',
  'proc/stat': 'cpu  100 0 100 800 0 0 0 0 0 0\n',
  'proc/meminfo': 'MemTotal:        4096 kB\nMemAvailable:    1024 kB\nSwapTotal:          0 kB\n',
  'proc/self/mounts': '/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/sda1 /again ext4 rw 0 0\n',
  'sys/block/sda/size': '2097152\n',
  'sys/block/sda/device/model': 'Fast Disk\n',
  'sys/block/sda/queue/rotational': '0\n',
  'sys/block/loop0/size': '8\n',
  'sys/class/thermal/thermal_zone0/type': 'x86_pkg_temp\n',
  'sys/class/thermal/thermal_zone0/temp': '48500\n',
  'sys/class/thermal/thermal_zone1/type': 'dead\n',
  'sys/class/thermal/thermal_zone1/temp': '-273200\n',
  'sys/class/hwmon/hwmon0/name': 'nvme\n',
  'sys/class/hwmon/hwmon0/temp1_input': '39850\n',
  'sys/class/hwmon/hwmon0/temp1_label': 'Composite\n',
  'sys/class/drm/card0-HDMI-A-1/status': 'connected\n',
  'sys/class/drm/card0-HDMI-A-1/enabled': 'enabled\n',
  'sys/class/drm/card0-HDMI-A-1/modes': '3840x2160\n1920x1080\n',
  'sys/class/drm/card0-HDMI-A-1/edid': edidOf('Front left'),
  'sys/class/drm/card0-DP-1/status': 'disconnected\n',
  'sys/class/net/eth0/operstate': 'up\n',
  'sys/class/net/eth0/speed': '1000\n',
  'sys/class/net/eth0/mtu': '1500\n',
  'sys/class/net/eth0/address': '02:00:5e:10:00:01\n',
  'sys/class/net/eth0/statistics/rx_errors': '3\n',
  'sys/class/net/lo/operstate': 'unknown\n',
  [`${usb}/usb1/idVendor`]: '1d6b\n',
  [`${usb}/usb1/idProduct`]: '0002\n',
  [`${usb}/1-1/idVendor`]: '05e3\n',
  [`${usb}/1-1/idProduct`]: '0610\n',
  [`${usb}/1-1/bDeviceClass`]: '09\n',
  [`${usb}/1-1/authorized`]: '1',
  [`${usb}/1-1.2/idVendor`]: '046d\n',
  [`${usb}/1-1.2/idProduct`]: '085e\n',
  [`${usb}/1-1.2/manufacturer`]: 'Logitech\n',
  [`${usb}/1-1.2/product`]: 'Camera 4K\n',
  [`${usb}/1-1.2/speed`]: '480\n',
  [`${usb}/1-1.2/authorized`]: '1',
  [`${usb}/1-1.2:1.0/bInterfaceClass`]: '0e\n',
};

/** A display's description that says nothing but its name. */
function edidOf(name: string): Buffer {
  const edid = Buffer.alloc(128);
  edid.set([0, 0, 0, 0xfc, 0], 72);
  edid.write(`${name}\n`.padEnd(13), 77, 'latin1');
  return edid;
}

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'latchkey-machine-'));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  machine = openMachine(root);
});
after(() => rm(root, { recursive: true }));

describe('what a device says of itself', () => {
  it('is read from the files of its kernel, and what they do not tell is left out', async () => {
    const { processors, fileSystems, network, ...facts } = await inspect(machine);
    assert.deepEqual(facts, {
      serial: 'MTR-0042',
      make: 'Crestwood',
      model: 'Panel 10',
      os: 'Debian GNU/Linux 12 (bookworm)',
      kernel: '6.6.1',
      uptimeSeconds: 1_234,
      memory: { totalBytes: 4_194_304, availableBytes: 1_048_576, swapBytes: 0 },
      disks: [{ name: 'sda', model: 'Fast Disk', bytes: 1_073_741_824, rotates: false }],
      temperatures: [
        { sensor: 'x86_pkg_temp', celsius: 48.5 },
        { celsius: 39.9, sensor: 'nvme Composite' },
      ],
      displays: [
        { socket: 'DP-1', connected: false, enabled: false },
        { socket: 'HDMI-A-1', connected: true, enabled: true, name: 'Front left', resolution: '3840x2160' },
      ],
      usb: [
        { port: '1-1', id: '05e3:0610', hub: true },
        { port: '1-1.2', id: '046d:085e', name: 'Logitech Camera 4K', megabits: 480 },
      ],
    });
    assert.deepEqual(processors, { model: 'Quick 9000', count: 2, loadAverages: [0.5, 0.25, 0.1] });
    assert.deepEqual(
      (fileSystems as { device: string }[]).map(({ device }) => device),
      ['/dev/sda1'],
    );
    assert.equal((network as unknown[]).length, 1);
  });

  it('tells how many addresses an interface has, and not which: they tell an organisation', async () => {
    const address = { address: '10.20.0.4', netmask: '255.0.0.0', family: 'IPv4', mac: '02:00:5e:10:00:01' } as const;
    const found = await networks(machine, { eth0: [{ ...address, internal: false, cidr: '10.20.0.4/8' }] });
    assert.deepEqual(found, [
      {
        name: 'eth0',
        kind: 'wired',
        state: 'up',
        megabits: 1_000,
        mtu: 1_500,
        ipv4Addresses: 1,
        ipv6Addresses: 0,
        receiveErrors: 3,
      },
    ]);
    const text = JSON.stringify(await inspect(machine));
    assert.doesNotMatch(text, /10\.20\.0\.4|02:00:5e/);
  });

  it('says nothing of a machine that tells nothing', async () => {
    const empty = await inspect(openMachine(join(root, 'nowhere')));
    const { processors, memory, ...lists } = empty;
    assert.deepEqual([processors, memory], [{}, {}]);
    for (const [name, list] of Object.entries(lists)) assert.deepEqual(list, [], name);
  });

  it('takes no name of a display that could do something to whoever reads it', () => {
    assert.equal(displayName(edidOf('\u001b[2J')), null);
    assert.equal(displayName(Buffer.alloc(128)), null);
    assert.equal(displayName(Buffer.alloc(3)), null);
  });
});

describe('resetting USB', () => {
  const authorized = async (port: string) => machine.text(`${usb}/${port}/authorized`);

  it('takes a device off its bus and lets it on again, by where it is or by what it is', async () => {
    for (const wanted of ['1-1.2', '046d:085e', null]) {
      assert.equal(await resetUsb(machine, wanted, false), 0, String(wanted));
      assert.equal(await authorized('1-1.2'), '1');
    }
  });

  it('only says what it would do when it is to do nothing, and leaves hubs out unless one is named', async () => {
    assert.equal(await resetUsb(machine, null, true), 0);
    assert.equal(await resetUsb(machine, '9-9', true), 64);
    assert.equal(await resetUsb(openMachine(join(root, 'nowhere')), null, true), 69);
    assert.deepEqual(
      (await listUsb(machine)).filter(({ isHub }) => isHub).map(({ port }) => port),
      ['1-1'],
    );
  });
});
