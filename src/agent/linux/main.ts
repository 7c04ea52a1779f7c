import { parseArgs } from 'node:util';
import { collectLogs } from './collect-logs.ts';
import { openMachine } from './files.ts';
import { inspect } from './inspect.ts';
import { reboot } from './reboot.ts';
import { resetUsb } from './reset-usb.ts';
import { restartService } from './restart-service.ts';
import { exitCodes, openTools, say, UsageError } from './tools.ts';
import { update } from './update.ts';

const tools = openTools();
type Options = ReturnType<typeof readOptions>;

/** The programs behind the actions for Linux that come with the agent, by name. Each returns an exit code. */
const programs: Readonly<Record<string, (options: Options) => Promise<number>>> = {
  async inspect() {
    await say(`${JSON.stringify(await inspect(openMachine()), null, 2)}\n`);
    return exitCodes.done;
  },
  'collect-logs': ({ since, until, file }) => collectLogs(tools, { since, until, files: file ?? [] }, process.stdout),
  'restart-service': ({ service, 'dry-run': isDry }) => restartService(tools, service, isDry),
  'reset-usb': ({ device, 'dry-run': isDry }) => resetUsb(openMachine(), device ?? null, isDry),
  reboot: ({ 'dry-run': isDry }) => reboot(tools, isDry),
  update: ({ package: name, 'dry-run': isDry }) => update(tools, name ?? null, isDry),
};

function readOptions(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = {
    since: text,
    until: text,
    file: { type: 'string', multiple: true },
    service: text,
    device: text,
    package: text,
    'dry-run': { type: 'boolean', default: false },
  } as const;
  return parseArgs({ args: [...argv], options, strict: true }).values;
}

const [name = '', ...argv] = process.argv.slice(2);
try {
  const program = Object.hasOwn(programs, name) ? programs[name]! : null;
  if (!program) throw new UsageError(`there is no program \`${name}\``);
  process.exitCode = await program(readOptions(argv));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : 'unknown'}\n`);
  const isUsage = error instanceof UsageError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS');
  process.exitCode = isUsage ? exitCodes.usage : exitCodes.failed;
}
