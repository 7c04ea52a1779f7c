import type { Command } from 'commander';
import type { Device } from '../answers.ts';
import type { CommonOptions, Runner } from '../desk.ts';
import { deviceName } from '../device-names.ts';
import type { TableColumn } from '../printer.ts';
import { relativeTime } from '../text/time-words.ts';
import { command, defaultLimit, limitArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly q?: string;
  readonly tenant?: string;
  readonly limit: number;
}

export function addDevices(program: Command, run: Runner): void {
  command(program, 'devices', 'list the devices you can see', ['devices --q oslo', 'devices --tenant contoso'])
    .option('--q <text>', 'only those whose name, host name, serial number or the like matches')
    .option('--tenant <slug>', 'only those of this tenant (slug or id)')
    .option('--limit <number>', 'how many at most', limitArgument, defaultLimit)
    .action((options: Options) =>
      run(options, async (desk) => {
        const { printer, io } = desk;
        const { q, tenant, limit } = options;
        const page = await (await desk.client()).devices({ q, tenant }, limit);
        printer.document(page);
        if (page.items.length === 0) {
          const narrowed = q !== undefined || tenant !== undefined;
          printer.line(narrowed ? 'no device that you can see matches; try fewer words' : 'no device is enrolled yet');
          return;
        }
        printer.table(columns(io.now(), printer.paint.waiting, printer.paint.faint), page.items);
        if (page.next !== null) printer.remark(`there are more: narrow with --q, or raise --limit`);
      }),
    );
}

function columns(
  now: number,
  warn: (text: string) => string,
  faint: (text: string) => string,
): readonly TableColumn<Device>[] {
  const fact = (name: string) => (device: Device) => {
    const value = device.facts[name];
    return typeof value === 'string' ? value : '';
  };
  return [
    { title: 'NAME', value: deviceName, shrinkTo: 12 },
    { title: 'ID', value: (device) => device.id },
    { title: 'ROOM', value: (device) => (device.inUse ? 'in use' : 'free'), paint: (d) => (d.inUse ? warn : faint) },
    { title: 'SEEN', value: (device) => (device.lastSeenAt ? relativeTime(device.lastSeenAt, now) : 'never') },
    {
      title: 'MODEL',
      value: (device) => `${fact('make')(device)} ${fact('model')(device)}`.trim(),
      shrinkTo: 8,
      leave: 1,
    },
    { title: 'SERIAL', value: fact('serial'), shrinkTo: 8, leave: 2 },
  ];
}
