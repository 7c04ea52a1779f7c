import { Argument, type Command } from 'commander';
import type { Narrow } from '../answers.ts';
import type { CommonOptions, Desk, Runner } from '../desk.ts';
import { findDevices } from '../find-device.ts';
import { decide } from '../send-decision.ts';
import { command, durationArgument, idArgument, listArgument, textArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly stage?: string;
  readonly comment?: string;
  readonly for?: string;
  readonly scopes?: readonly string[];
  readonly devices?: readonly string[];
}

export function addApprove(program: Command, run: Runner): void {
  command(
    program,
    'approve',
    'agree to a request, or to part of it',
    ['approve req_…', 'approve req_… --for 15m --scopes device.inspect,device.reboot --comment "a reboot will do"'],
    'What is granted may be narrowed, never widened; the narrowest of all approvals holds.',
  )
    .addArgument(new Argument('<ID>', 'the request').argParser(idArgument('request')))
    .option('--stage <name>', 'the stage to decide, where you may decide several')
    .option('--comment <text>', 'something for the requester and the others', textArgument)
    .option('--for <duration>', 'for no longer than this', durationArgument)
    .option('--scopes <list>', 'only these scopes, separated by commas', listArgument)
    .option('--devices <list>', 'only these devices, separated by commas', listArgument)
    .action((id: string, options: Options) =>
      run(options, async (desk) => {
        const { stage, comment } = options;
        const narrow = await narrowing(desk, options);
        await decide(desk, id, {
          verdict: 'approve',
          ...(stage !== undefined && { stage }),
          ...(comment !== undefined && { comment }),
          ...(narrow && { narrow }),
        });
      }),
    );
}

async function narrowing(desk: Desk, { for: duration, scopes, devices }: Options): Promise<Narrow | null> {
  if (duration === undefined && !scopes && !devices) return null;
  const found = devices && (await findDevices(await desk.client(), devices));
  return {
    ...(duration !== undefined && { duration }),
    ...(scopes && { scopes }),
    ...(found && { devices: found.map(({ id }) => id) }),
  };
}
