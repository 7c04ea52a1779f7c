import { Option, type Command } from 'commander';
import { openAccessSession } from '../access-session.ts';
import { readActionArguments } from '../action-arguments.ts';
import { actionOutput } from '../action-output.ts';
import type { CommonOptions, Desk, Runner } from '../desk.ts';
import { exitCodes, ownFailureOffset } from '../failure.ts';
import { findDevice } from '../find-device.ts';
import { findGrant } from '../find-grant.ts';
import { loadKey } from '../key.ts';
import { neutralise } from '../text/neutralise.ts';
import { command, idArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly grant?: string;
  readonly raw?: boolean;
}

export function addRun(program: Command, run: Runner): void {
  command(
    program,
    'run <DEVICE> <SCOPE> [ARGS...]',
    'do one thing on a device, with a grant you hold',
    ['run oslo-3 device.inspect', 'run oslo-3 app.restart app=rooms force:=true'],
    'ARGS are key=value for text and key:=JSON for anything else. Ends with the exit code of the action.',
  )
    .addOption(new Option('--grant <id>', 'the grant to use, where you hold several').argParser(idArgument('grant')))
    .option('--raw', "pass the device's output to the terminal untouched, escape sequences and all")
    .action((device: string, scope: string, args: string[], options: Options) =>
      run(options, (desk) => perform(desk, device, scope, args, options), 'carrying'),
    );
}

async function perform(
  desk: Desk,
  named: string,
  scope: string,
  texts: readonly string[],
  options: Options,
): Promise<number> {
  const { io, printer } = desk;
  const args = readActionArguments(texts);
  const client = await desk.client();
  const device = await findDevice(client, named);
  const grant = options.grant ? await client.grant(options.grant) : await findGrant(client, device, scope, io.now());
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
    printer.document({ session: session.id, grant: grant.id, device: device.id });
    const write = actionOutput(io, options.raw === true);
    const end = await session.act(scope, args, async (piece) => {
      if (printer.json) printer.document(piece);
      else await write(piece);
    });
    printer.document(end);
    if ('exit' in end) return end.exit;
    printer.note(`latchkey: ended: ${neutralise(await session.whyOver(end.ended))}`);
    return ownFailureOffset + exitCodes.refused;
  } finally {
    await session.close();
  }
}
