import { Argument, type Command } from 'commander';
import type { CommonOptions, Runner } from '../desk.ts';
import { decide } from '../send-decision.ts';
import { command, idArgument, textArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly stage?: string;
  readonly comment?: string;
}

export function addDeny(program: Command, run: Runner): void {
  command(program, 'deny', 'refuse a request, which ends it', ['deny req_… --comment "there is a meeting at two"'])
    .addArgument(new Argument('<ID>', 'the request').argParser(idArgument('request')))
    .option('--stage <name>', 'the stage to decide, where you may decide several')
    .option('--comment <text>', 'why, for the requester', textArgument)
    .action((id: string, { stage, comment, ...options }: Options) =>
      run(options, (desk) =>
        decide(desk, id, {
          verdict: 'deny',
          ...(stage !== undefined && { stage }),
          ...(comment !== undefined && { comment }),
        }),
      ),
    );
}
