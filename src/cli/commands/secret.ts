import { Option, type Command } from 'commander';
import { localAdmin, localAdminScope } from '../../domain/local-admin.ts';
import { command, idArgument } from '../arguments.ts';
import { findClipboard } from '../clipboard.ts';
import type { CommonOptions, Desk, Runner } from '../desk.ts';
import { deviceName } from '../device-names.ts';
import { Failure } from '../failure.ts';
import { findDevice } from '../find-device.ts';
import { findGrant } from '../find-grant.ts';
import { loadKey } from '../key.ts';
import { newOneTimeKey } from '../one-time-key.ts';
import { neutralise } from '../text/neutralise.ts';
import { durationWords } from '../text/time-words.ts';

interface Options extends CommonOptions {
  readonly grant?: string;
  readonly copy?: boolean;
}

export function addSecret(program: Command, run: Runner): void {
  command(
    program,
    'secret <DEVICE>',
    "get a device's local administrator password, once, with a grant you hold",
    ['secret oslo-3', 'secret oslo-3 --copy'],
    'It is shown once and kept nowhere; the device gets another one when the grant ends, or an hour later.',
  )
    .addOption(new Option('--grant <id>', 'the grant to use, where you hold several').argParser(idArgument('grant')))
    .option('--copy', 'put it into the clipboard instead of showing it')
    .action((device: string, options: Options) => run(options, (desk) => perform(desk, device, options)));
}

async function perform(desk: Desk, named: string, options: Options): Promise<void> {
  const { io, printer } = desk;
  const clipboard = options.copy ? findClipboard(io.env) : null;
  // Said before it is fetched: it can be fetched once.
  if (options.copy && !clipboard) {
    const hint = 'one of pbcopy, clip.exe, wl-copy, xclip and xsel is needed; or leave out `--copy`';
    throw new Failure('failed', 'there is no clipboard here', { hint });
  }
  const client = await desk.client();
  const device = await findDevice(client, named);
  const grant = options.grant
    ? await client.grant(options.grant)
    : await findGrant(client, device, localAdminScope, io.now());
  const key = await loadKey(desk.directory);
  const oneTimeKey = newOneTimeKey();
  const released = await client.secret(grant.id, device.id, key, oneTimeKey, io.now);
  const [first, ...others] = await oneTimeKey.open(released.secret, { grant: grant.id, device: device.id });
  const newest = first!.password;
  const isCopied = clipboard !== null && (await clipboard.copy(newest));
  const shown = isCopied ? others : [first!, ...others];

  const account = device.facts['localAdministrator'];
  const { rotatesBy } = released;
  printer.document({ device: device.id, grant: grant.id, secret: localAdmin, passwords: shown, rotatesBy });
  const whose = typeof account === 'string' ? `${deviceName(device)}, account ${account}` : deviceName(device);
  printer.line(`local administrator of ${neutralise(whose)}`);
  if (isCopied) printer.line(`  in the clipboard (${clipboard.name}); empty it when you are done`);
  for (const { password } of shown) printer.line(`  ${neutralise(password)}`);
  if (options.copy && !isCopied) printer.note('latchkey: the clipboard did not take it, so it is shown here');
  if (others.length > 0) {
    printer.note('latchkey: the device was setting a new one: where the first does not work, the one after it does');
  }
  const wait = durationWords((Date.parse(rotatesBy) - io.now() - client.clockOffset()) / 1_000);
  printer.line(`→ it will not be shown again; another one takes its place in ${wait}, or when you release the grant`);
}
