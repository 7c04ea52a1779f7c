import { Option, type Command } from 'commander';
import { openAccessSession } from '../access-session.ts';
import { converse } from '../conversation.ts';
import type { CommonOptions, Desk, Runner } from '../desk.ts';
import { deviceName } from '../device-names.ts';
import { findDevice } from '../find-device.ts';
import { findGrant } from '../find-grant.ts';
import { loadKey } from '../key.ts';
import { neutralise } from '../text/neutralise.ts';
import { relativeTime } from '../text/time-words.ts';
import { command, idArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly grant?: string;
  readonly raw?: boolean;
}

export function addConnect(program: Command, run: Runner): void {
  command(
    program,
    'connect <DEVICE>',
    'open a session on a device and do several things in it',
    ['connect oslo-3', 'printf "device.inspect\\nusb.reset\\n" | latchkey connect oslo-3'],
    'Type an action and its arguments, `help`, or `exit`. Reads from a pipe too; ends with the last exit code.',
  )
    .addOption(new Option('--grant <id>', 'the grant to use, where you hold several').argParser(idArgument('grant')))
    .option('--raw', "pass the device's output to the terminal untouched, escape sequences and all")
    .action((device: string, options: Options) => run(options, (desk) => connect(desk, device, options), 'carrying'));
}

async function connect(desk: Desk, named: string, options: Options): Promise<number> {
  const { io, printer } = desk;
  const client = await desk.client();
  const device = await findDevice(client, named);
  const grant = options.grant ? await client.grant(options.grant) : await findGrant(client, device, null, io.now());
  const session = await openAccessSession({
    client: desk.client,
    key: await loadKey(desk.directory),
    device,
    grant,
    signal: io.signal,
    now: io.now,
    warn: (text) => printer.note(`latchkey: ${neutralise(text)}`),
  });
  try {
    const name = neutralise(deviceName(device));
    printer.document({ session: session.id, grant: grant.id, device: device.id });
    printer.note(`connected to ${name}; access ends ${relativeTime(grant.expiresAt, io.now())}`);
    printer.note('type an action, `help` to see which there are, or `exit`');
    return await converse(desk, session, name, options.raw === true);
  } finally {
    await session.close();
  }
}
