import { Argument, Option, type Command } from 'commander';
import type { CommonOptions, Runner } from '../desk.ts';
import { showGrant } from '../show-grant.ts';
import { command, idArgument, textArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly reason: string;
}

export function addRevoke(program: Command, run: Runner): void {
  command(
    program,
    'revoke',
    "end someone's grant at once",
    ['revoke grt_… --reason "the meeting starts early"'],
    'To end a grant of your own, release it.',
  )
    .addArgument(new Argument('<GRANT>', 'the grant').argParser(idArgument('grant')))
    .addOption(new Option('--reason <text>', 'why, for its holder').argParser(textArgument).makeOptionMandatory())
    .action((id: string, options: Options) =>
      run(options, async (desk) => {
        const client = await desk.client();
        const grant = await client.revoke(id, options.reason);
        desk.printer.document(grant);
        await showGrant(desk.printer, client, grant, desk.io.now());
        desk.printer.line('→ revoked; its sessions on devices are being cut now');
      }),
    );
}
