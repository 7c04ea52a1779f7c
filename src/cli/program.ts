import { Command, type Argument } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import type { Runner } from './desk.ts';
import type { Io } from './io.ts';
import { columnsOf } from './printer.ts';
import { wantsColour } from './text/paint.ts';
import { addAlarms } from './commands/alarms.ts';
import { addApprove } from './commands/approve.ts';
import { addCancel } from './commands/cancel.ts';
import { addConnect } from './commands/connect.ts';
import { addDeny } from './commands/deny.ts';
import { addDevices } from './commands/devices.ts';
import { addExtend } from './commands/extend.ts';
import { addGrants } from './commands/grants.ts';
import { addLogin } from './commands/login.ts';
import { addLogout } from './commands/logout.ts';
import { addNotices } from './commands/notices.ts';
import { addProfiles } from './commands/profiles.ts';
import { addRelease } from './commands/release.ts';
import { addRequest } from './commands/request.ts';
import { addRequests } from './commands/requests.ts';
import { addReview } from './commands/review.ts';
import { addRevoke } from './commands/revoke.ts';
import { addRun } from './commands/run.ts';
import { addSecret } from './commands/secret.ts';
import { addWhoami } from './commands/whoami.ts';

const lastGroup = 'Looking after it:';

type Add = (program: Command, run: Runner) => void;

const groups: readonly (readonly [heading: string, commands: readonly Add[]])[] = [
  ['Signing in:', [addLogin, addLogout, addWhoami]],
  ['Asking for access:', [addProfiles, addDevices, addRequest, addRequests, addCancel]],
  ['Deciding:', [addApprove, addDeny]],
  ['Using and ending it:', [addGrants, addConnect, addRun, addSecret, addExtend, addRelease, addRevoke]],
  [lastGroup, [addReview, addAlarms, addNotices]],
];

const afterHelp = `
Every command takes --json and --help. LATCHKEY_URL, LATCHKEY_TOKEN and LATCHKEY_CONFIG_DIR
override what \`login\` saved; NO_COLOR turns colours off.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 not signed in, 5 unreachable.
\`run\` and \`connect\` end with the action's own code; their own failures are 120 + the code above.`;

export function buildProgram(io: Io, run: Runner): Command {
  const program = new Command('latchkey')
    .description('Access to one device, for a while: ask for it, agree to it, use it, see it end.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'latchkey: ')),
      getOutHelpWidth: () => columnsOf(io.stdout),
      getErrHelpWidth: () => columnsOf(io.stderr),
      getOutHasColors: () => wantsColour(io.env, io.stdout.isTTY === true),
      getErrHasColors: () => wantsColour(io.env, io.stderr.isTTY === true),
    })
    .showHelpAfterError('see `latchkey --help`')
    .configureHelp({
      subcommandTerm: (command) => [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
    })
    .version(manifest.version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpCommand(
      new Command('help').argument('[COMMAND]').summary('show the help of a command').helpGroup(lastGroup),
    )
    .addHelpText('after', afterHelp);
  for (const [heading, commands] of groups) {
    program.commandsGroup(heading);
    for (const add of commands) add(program, run);
  }
  program.commandsGroup('Running the server:');
  for (const { name, summary } of io.serverCommands ?? []) program.command(name).summary(summary);
  return program;
}

function argumentTerm(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '…' : ''}`;
  return argument.required ? name : `[${name}]`;
}
