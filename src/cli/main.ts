import { CommanderError } from 'commander';
import { openRunner } from './desk.ts';
import { exitCodes, Failure, ownFailureOffset, problemDocument } from './failure.ts';
import type { Io } from './io.ts';
import { buildProgram } from './program.ts';
import { jsonText } from './text/neutralise.ts';

export type { Io, Input, Output, ServerCommand } from './io.ts';

/**
 * Runs one command line (without `node` and the script's name) and returns the exit code of contract §1.
 * Never throws for anything a user, a broker or a device does.
 */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  const serverCommand = io.serverCommands?.find((command) => command.name === argv[0]);
  if (serverCommand) return serverCommand.run(argv.slice(1));
  const askedFor = argv[0] === 'help' ? io.serverCommands?.find((command) => command.name === argv[1]) : undefined;
  if (askedFor) return askedFor.run(['--help']);

  const runner = openRunner(io);
  const program = buildProgram(io, runner.run);
  try {
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return exitCodes.usage;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return runner.exitCode();
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    if (thrown.exitCode === 0) return exitCodes.done;
    const carrying = argv[0] === 'run' || argv[0] === 'connect';
    const exitCode = exitCodes.usage + (carrying ? ownFailureOffset : 0);
    if (argv.includes('--json')) {
      const failure = new Failure('usage', thrown.message.replace(/^error: /, ''));
      io.stdout.write(`${jsonText(problemDocument(failure, exitCode))}\n`);
    }
    return exitCode;
  }
}
