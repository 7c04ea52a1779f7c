import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { exitCodes, Failure, problemDocument } from '../failure.ts';
import type { Io } from '../io.ts';
import { makeRecoveryKey, read, signRecoveryStatement } from './recovery.ts';
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
  /** Makes the key that is to replace a leaked key of the ledger. @returns its vkey. */
  prepareRecovery(): Promise<string>;
  /** Puts that key in place, on the word of the recovery key. @throws with a sentence for the operator. */
  recover(statement: string): Promise<void>;
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
  addRecovery(add, io, services, run);
  return program;
}

/** What is done when the ledger's key has leaked; the signing, and the making of the recovery key, on a machine apart. */
function addRecovery(add: (name: string, summary: string) => Command, io: Io, services: KeysServices, run: Run): void {
  const answer = (json: boolean | undefined, name: string, value: string): number => {
    io.stdout.write(json ? `${jsonText({ [name]: value })}\n` : value.endsWith('\n') ? value : `${value}\n`);
    return exitCodes.done;
  };
  add('recovery-key', 'make the offline key that alone can replace a leaked key of the ledger')
    .requiredOption('--origin <ORIGIN>', 'the ledger’s origin')
    .requiredOption('--out <FILE>', 'a new file for the key, to be kept off every broker')
    .action((options: Options & { readonly origin: string; readonly out: string }) =>
      run(options, async () => answer(options.json, 'recoveryKey', await makeRecoveryKey(options.origin, options.out))),
    );
  add('prepare-recovery', 'make the key that is to replace a leaked key of the ledger, and print it')
    .requiredOption('--config <FILE>', 'the broker’s configuration')
    .action((options: Options) =>
      run(options, () =>
        services.withDesk(options.config, async (desk) =>
          answer(options.json, 'successor', await desk.prepareRecovery()),
        ),
      ),
    );
  add('sign-recovery', 'sign, offline, which key takes over and up to where history counts')
    .requiredOption('--key <FILE>', 'the recovery key')
    .requiredOption('--successor <VKEY>', 'the key that was prepared')
    .requiredOption('--checkpoint <FILE>', 'the last checkpoint whose history counts: one that witnesses have cosigned')
    .option('--number <N>', 'larger than that of any statement before; the time in seconds when not given', readNumber)
    .action(
      (
        options: Options & {
          readonly key: string;
          readonly successor: string;
          readonly checkpoint: string;
          readonly number?: number;
        },
      ) =>
        run(options, async () => {
          const { key: keyFile, successor, checkpoint: checkpointFile } = options;
          const number = options.number ?? Math.floor(io.now() / 1_000);
          const statement = await signRecoveryStatement({ keyFile, successor, checkpointFile, number });
          return answer(options.json, 'statement', statement);
        }),
    );
  add('recover', 'replace a leaked key of the ledger, on the word of the recovery key')
    .requiredOption('--config <FILE>', 'the broker’s configuration')
    .requiredOption('--statement <FILE>', 'what `sign-recovery` printed')
    .action((options: Options & { readonly statement: string }) =>
      run(options, () =>
        services.withDesk(options.config, async (desk) => {
          await desk.recover(await read(options.statement));
          const lines = (await desk.list()).filter((line) => line.name === 'ledger');
          return show(lines, options.json === true, io);
        }),
      ),
    );
}

function readNumber(text: string): number {
  const number = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw new InvalidArgumentError('a number is a whole one from 1 on');
  return number;
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
  if (thrown instanceof Failure) return thrown;
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
