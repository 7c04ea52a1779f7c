import { Option, type Command } from 'commander';
import type { CommonOptions, Desk, Runner } from '../desk.ts';
import { Failure } from '../failure.ts';
import { findDevices } from '../find-device.ts';
import { nextSteps, showRequest } from '../show-request.ts';
import { readMoment } from '../text/time-words.ts';
import { codeOfDecision, waitForDecision } from '../wait-for-decision.ts';
import { command, durationArgument, textArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly for: string;
  readonly reason: string;
  readonly ticket?: string;
  readonly at?: string;
  readonly wait?: boolean;
  readonly dryRun?: boolean;
}

export function addRequest(program: Command, run: Runner): void {
  command(
    program,
    'request <PROFILE> <DEVICE...>',
    'ask for access to devices',
    [
      'request remediate oslo-3 --for 30m --reason "panel frozen" --wait',
      'request update dev_… dev_… --for 2h --reason "monthly update" --at "2026-03-01 22:00"',
    ],
    'DEVICE is an id, or the exact name, host name or serial number of one device.',
  )
    .addOption(
      new Option('--for <duration>', 'for how long: 30m, 1h30m, PT30M')
        .argParser(durationArgument)
        .makeOptionMandatory(),
    )
    .addOption(new Option('--reason <text>', 'why, for those who decide').argParser(textArgument).makeOptionMandatory())
    .option('--ticket <id>', 'the ticket it belongs to', textArgument)
    .option('--at <time>', 'when it should start: 2026-03-01T22:00Z, "2026-03-01 22:00" or 22:00 here, +2h')
    .option('--wait', 'wait until it is decided')
    .addOption(new Option('--dry-run', 'only say what would happen; nothing is recorded').conflicts('wait'))
    .action((profile: string, devices: string[], options: Options) =>
      run(options, (desk) => request(desk, profile, devices, options)),
    );
}

async function request(
  desk: Desk,
  profile: string,
  named: readonly string[],
  options: Options,
): Promise<number | void> {
  const { io, printer } = desk;
  const startsAt = options.at === undefined ? undefined : momentOf(options.at, io.now());
  const client = await desk.client();
  const devices = await findDevices(client, named);
  const asked = await client.ask(
    {
      profile,
      devices: devices.map(({ id }) => id),
      duration: options.for,
      reason: options.reason,
      ...(options.ticket !== undefined && { ticket: options.ticket }),
      ...(startsAt !== undefined && { startsAt }),
    },
    options.dryRun === true,
  );
  if (options.wait) {
    const decided = await waitForDecision(desk, client, asked);
    await showRequest(printer, client, decided, io.now());
    nextSteps(printer, decided);
    return codeOfDecision(decided);
  }
  printer.document(asked);
  await showRequest(printer, client, asked, io.now());
  if (options.dryRun) printer.remark('this is what asking would bring; nothing was recorded');
  else nextSteps(printer, asked);
  return undefined;
}

function momentOf(text: string, now: number): string {
  const moment = readMoment(text, now);
  if (!moment)
    throw new Failure('usage', `\`${text}\` is not a time`, { hint: 'write 2026-03-01T22:00Z, 22:00 or +2h' });
  return moment.toISOString();
}
