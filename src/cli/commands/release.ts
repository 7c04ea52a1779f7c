import { Argument, type Command } from 'commander';
import type { CommonOptions, Runner } from '../desk.ts';
import { showGrant } from '../show-grant.ts';
import { command, idArgument } from '../arguments.ts';

export function addRelease(program: Command, run: Runner): void {
  command(program, 'release', 'give a grant of yours back before its time', ['release grt_…'])
    .addArgument(new Argument('<GRANT>', 'the grant').argParser(idArgument('grant')))
    .action((id: string, options: CommonOptions) =>
      run(options, async (desk) => {
        const client = await desk.client();
        const grant = await client.release(id);
        desk.printer.document(grant);
        await showGrant(desk.printer, client, grant, desk.io.now());
        desk.printer.line('→ released; whatever it kept open on devices is being cut now');
      }),
    );
}
