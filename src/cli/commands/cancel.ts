import { Argument, type Command } from 'commander';
import type { CommonOptions, Runner } from '../desk.ts';
import { command, idArgument } from '../arguments.ts';

export function addCancel(program: Command, run: Runner): void {
  command(program, 'cancel', 'take a request of yours back', ['cancel req_…'])
    .addArgument(new Argument('<ID>', 'the request').argParser(idArgument('request')))
    .action((id: string, options: CommonOptions) =>
      run(options, async (desk) => {
        const request = await (await desk.client()).cancel(id);
        desk.printer.document(request);
        desk.printer.line(`${request.id} is cancelled; nobody needs to decide it any more`);
      }),
    );
}
