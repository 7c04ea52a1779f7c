import { Command, CommanderError } from 'commander';
import { exitCodes, Failure, problemDocument } from '../failure.ts';
import type { Io } from '../io.ts';
import { layOutTable } from '../text/table.ts';
import { jsonText, neutralise } from '../text/neutralise.ts';

/** A version of one of the broker's keys, as an operator sees it. Times are RFC 3339. */
export interface KeyLine {
  readonly name: string;
  /** Its key id, or verifier key; null when nobody knows any more. */
  readonly key: string | null;
  readonly state: string;
  readonly createdAt: string;
  /** When the one that waits begins to sign. */
  readonly signsFrom: string | null;
  readonly cause: string | null;
}

/** What can be done with the broker's keys, by whoever may read its vault and database. */
export interface KeysDesk {
  list(): Promise<readonly KeyLine[]>;
  /** @throws with a sentence for the operator. */
  rotate(name: string, compromised: boolean): Promise<void>;
}

/** What only the server's side can do, handed in by whoever wires the floors. */
export interface KeysServices {
  /**
   * Does the work with the keys of the broker that a configuration describes.
   * @returns the exit code of the work; 2 when the configuration cannot be used, which is then said.
   */
  readonly withDesk: (configFile: string, work: (desk: KeysDesk) => Promise<number>) => Promise<number>;
}

interface Options {
  readonly config: string;
  readonly compromised?: boolean;
  readonly json?: boolean;
}

/** Runs `latchkey keys …`. @returns the exit code of contract §1. */
export async function runKeys(argv: readonly string[], io: Io, services: KeysServices): Promise<number> {
  let exitCode: number = exitCodes.done;
  const run: Run = async (options, work) => {
    try {
      exitCode = await work();
    } catch (thrown) {
      exitCode = tell(failureOf(thrown), options.json === true, io);
    }
  };
  const program = buildProgram(io, services, run);
  try {
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return exitCodes.usage;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    return thrown.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
}

type Run = (options: { readonly json?: boolean }, work: () => Promise<number>) => Promise<void>;

function buildProgram(io: Io, services: KeysServices, run: Run): Command {
  const program = new Command('latchkey keys')
    .description('The broker’s own keys: credential, statement and ledger.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'latchkey: ')),
    })
    .helpOption('-h, --help', 'show this help');
  const add = (name: string, summary: string): Command =>
    program.command(name).summary(summary).description(summary).option('--json', 'answer in JSON');
  const config = ['--config <FILE>', 'the broker’s configuration'] as const;

  add('list', 'show the versions of each key and what they do')
    .requiredOption(...config)
    .action((options: Options) =>
      run(options, () =>
        services.withDesk(options.config, async (desk) => show(await desk.list(), options.json === true, io)),
      ),
    );
  add('rotate', 'make a new version of a key, which takes over once every verifier knows it')
    .argument('<NAME>', '`credential`, `statement` or `ledger`')
    .requiredOption(...config)
    .option('--compromised', 'the key leaked: take it out of use at once, and sign with the new one at once')
    .action((name: string, options: Options) =>
      run(options, () =>
        services.withDesk(options.config, async (desk) => {
          await desk.rotate(name, options.compromised === true);
          const lines = (await desk.list()).filter((line) => line.name === name);
          return show(lines, options.json === true, io);
        }),
      ),
    );
  return program;
}

function show(lines: readonly KeyLine[], json: boolean, io: Io): number {
  if (json) {
    io.stdout.write(`${jsonText({ items: lines })}\n`);
    return exitCodes.done;
  }
  const rows = lines.map(({ name, key, state, createdAt, signsFrom, cause }) =>
    [name, state, signsFrom ? `signs from ${signsFrom}` : `made ${createdAt}`, cause ?? '', key ?? '?'].map(neutralise),
  );
  const columns = ['key', 'state', 'when', 'cause', 'id'].map((title) => ({ title }));
  for (const line of layOutTable(columns, rows, io.stdout.columns ?? 200)) io.stdout.write(`${line}\n`);
  return exitCodes.done;
}

/** What the desk refuses is said as it is; the rest is that vault or database cannot be had. */
function failureOf(thrown: unknown): Failure {
  const { name, code, message } = thrown as { name?: unknown; code?: unknown; message: string };
  if (name !== 'LatchkeyError') return new Failure('failed', message, { cause: thrown });
  return new Failure(code === 'invalid-request' ? 'usage' : 'failed', message, { cause: thrown });
}

function tell(failure: Failure, json: boolean, io: Io): number {
  const exitCode = exitCodes[failure.kind];
  io.stderr.write(`latchkey: ${neutralise(failure.message)}\n`);
  if (failure.hint !== undefined) io.stderr.write(`  ${failure.hint}\n`);
  if (json) io.stdout.write(`${jsonText(problemDocument(failure, exitCode))}\n`);
  return exitCode;
}
