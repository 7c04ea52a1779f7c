import { Argument, Option, type Command } from 'commander';
import type { CommonOptions, Runner } from '../desk.ts';
import { showGrant } from '../show-grant.ts';
import { command, idArgument, textArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly verdict: string;
  readonly comment?: string;
}

export function addReview(program: Command, run: Runner): void {
  command(program, 'review', 'say whether a use of break-glass was justified', [
    'review grt_… --verdict justified --comment "the board met, the room was down"',
  ])
    .addArgument(new Argument('<GRANT>', 'the break-glass grant').argParser(idArgument('grant')))
    .addOption(
      new Option('--verdict <verdict>', 'what you found').choices(['justified', 'unjustified']).makeOptionMandatory(),
    )
    .addOption(new Option('--comment <text>', 'why').argParser(textArgument))
    .action((id: string, options: Options) =>
      run(options, async (desk) => {
        const client = await desk.client();
        const grant = await client.review(id, options.verdict, options.comment);
        desk.printer.document(grant);
        await showGrant(desk.printer, client, grant, desk.io.now());
      }),
    );
}
