import { Argument, Option, type Command } from 'commander';
import type { CommonOptions, Runner } from '../desk.ts';
import { nextSteps, showRequest } from '../show-request.ts';
import { codeOfDecision, waitForDecision } from '../wait-for-decision.ts';
import { command, durationArgument, idArgument, textArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly for: string;
  readonly reason: string;
  readonly wait?: boolean;
}

export function addExtend(program: Command, run: Runner): void {
  command(
    program,
    'extend',
    'ask for more time on a grant, without a break',
    ['extend grt_… --for 30m --reason "the update takes longer" --wait'],
    'It is a request like any other: the same people must agree, before the grant ends.',
  )
    .addArgument(new Argument('<GRANT>', 'the grant').argParser(idArgument('grant')))
    .addOption(
      new Option('--for <duration>', 'how much longer: 30m, 1h').argParser(durationArgument).makeOptionMandatory(),
    )
    .addOption(new Option('--reason <text>', 'why').argParser(textArgument).makeOptionMandatory())
    .option('--wait', 'wait until it is decided')
    .action((id: string, options: Options) =>
      run(options, async (desk) => {
        const { io, printer } = desk;
        const client = await desk.client();
        const asked = await client.extend(id, options.for, options.reason);
        if (!options.wait) printer.document(asked);
        const request = options.wait ? await waitForDecision(desk, client, asked) : asked;
        await showRequest(printer, client, request, io.now());
        nextSteps(printer, request);
        return options.wait ? codeOfDecision(request) : undefined;
      }),
    );
}
