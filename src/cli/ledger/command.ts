import { Command, CommanderError, InvalidArgumentError } from 'commander';
import type { LedgerSource } from '../../ledger/audit-source.ts';
import { readAddress } from '../addresses.ts';
import { configPath, openConfigDirectory } from '../config-directory.ts';
import { asFailure, exitCodes, Failure, problemDocument } from '../failure.ts';
import type { Io } from '../io.ts';
import { accessFor, readSignIns } from '../sign-ins.ts';
import { jsonText, neutralise } from '../text/neutralise.ts';
import { exportLedger } from './export.ts';
import { openLedgerExport } from './export-source.ts';
import { openLedgerUrl } from './http-source.ts';
import { interrupted } from '../transport.ts';
import { readTrust } from './pinned.ts';
import { openProgress } from './progress.ts';
import { describe } from './report.ts';
import { proveEntry, showEntry } from './single-entry.ts';
import { verifyLedger } from './verify.ts';

/** What only the server's side can do, handed in by whoever wires the floors. */
export interface LedgerServices {
  /** Opens the ledger of a database. @throws with PostgreSQL's reason when it cannot. */
  readonly openDatabase: (url: string) => Promise<LedgerSource>;
  /** Takes a database as it is that lost what was signed. Runs with the arguments after its name. */
  readonly acceptRollback: (argv: readonly string[]) => Promise<number>;
}

interface Options {
  readonly url?: string;
  readonly database?: string;
  readonly export?: string;
  readonly key?: string;
  readonly recoveryKey?: string;
  readonly pinned?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** What a sub-command does with the ledger that it was pointed at. @returns the exit code. */
type Work = (source: LedgerSource) => Promise<number>;
type Run = (options: Options, work: Work) => Promise<void>;

/** Runs `latchkey ledger …`. @returns the exit code of contract §1; 1 also for a ledger that does not hold. */
export async function runLedger(argv: readonly string[], io: Io, services: LedgerServices): Promise<number> {
  if (argv[0] === 'accept-rollback') return services.acceptRollback(argv.slice(1));
  let exitCode: number = exitCodes.done;
  const program = buildProgram(io, async (options, work) => {
    try {
      const source = await openSource(options, io, services);
      try {
        exitCode = await work(source);
      } finally {
        await source.close();
      }
    } catch (thrown) {
      exitCode = tell(asFailure(thrown), options.json === true, io);
    }
  });
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

function buildProgram(io: Io, run: Run): Command {
  const program = new Command('latchkey ledger')
    .description('The ledger: verified, exported, and proved entry by entry, by whoever trusts nobody.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'latchkey: ')),
    })
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', '\nA token for entries comes from LATCHKEY_TOKEN, else from `latchkey login`.');
  const add = (name: string, summary: string): Command =>
    program
      .command(name)
      .summary(summary)
      .description(summary)
      .option('--url <URL>', 'read it from a broker')
      .option('--database <URL>', 'read it from PostgreSQL; the auditor’s role is enough')
      .option('--json', 'answer in JSON');
  const file = ['--export <FILE>', 'read it from an export'] as const;
  const index = ['<INDEX>', 'where the entry is', readIndex] as const;
  add('verify', 're-compute everything, and name the first entry that does not hold')
    .option(...file)
    .option('--key <VKEY>', 'a key of the ledger, as `name+id+key`: the newest, or one that it was followed from')
    .option('--recovery-key <VKEY>', 'its recovery key: what that says of a leaked key counts')
    .option('--pinned <FILE>', 'a signed checkpoint that was kept: the ledger must continue it')
    .action((options: Options) => run(options, (source) => verify(source, options, io)));
  add('export', 'write all entries, a JSON object a line, after a manifest')
    .option('--out <FILE>', 'into a new file')
    .action((options: Options) => run(options, (source) => exportLedger(source, options.out, io)));
  add('show', 'show one entry')
    .argument(...index)
    .option(...file)
    .action((at: number, options: Options) =>
      run(options, (source) => showEntry(source, at, options.json === true, io)),
    );
  add('proof', 'print the proof of one entry (C2SP tlog-proof)')
    .argument(...index)
    .action((at: number, options: Options) => run(options, (source) => proveEntry(source, at, io)));
  program.command('replay').summary('make every recorded decision again, and list those that come out otherwise');
  program.command('watch').summary('pass entries on as they come, in OCSF or JSON');
  program.command('accept-rollback').summary('take a database as it is that lost what was signed');
  return program;
}

async function verify(source: LedgerSource, options: Options, io: Io): Promise<number> {
  const trust = await readTrust(options);
  const progress = openProgress(io.stderr, io.now);
  const began = io.now();
  const verification = await verifyLedger(source, trust, (done, total) => {
    if (io.signal.aborted) throw interrupted();
    progress.show(done, total);
  }).finally(() => progress.end());
  const { text, json } = describe(verification, trust, io.now() - began);
  io.stdout.write(options.json ? `${jsonText(json)}\n` : text);
  return verification.findings.length === 0 ? exitCodes.done : exitCodes.failed;
}

function readIndex(text: string): number {
  const index = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(index)) throw new InvalidArgumentError('an index is a number from 0 on');
  return index;
}

async function openSource(options: Options, io: Io, services: LedgerServices): Promise<LedgerSource> {
  const { url, database, export: file } = options;
  const named = [url, database, file].filter((each) => each !== undefined);
  if (named.length > 1)
    throw new Failure('usage', 'a ledger is read from one place: `--url`, `--database` or `--export`');
  if (file !== undefined) return openLedgerExport(file);
  if (database !== undefined) {
    return services.openDatabase(database).catch((cause: Error) => {
      throw new Failure('unreachable', `the database cannot be read: ${cause.message}`, { cause });
    });
  }
  const signIns = await readSignIns(openConfigDirectory(configPath(io.env)));
  const env = url === undefined ? io.env : { ...io.env, LATCHKEY_URL: readAddress(url, 'the broker') };
  const access = accessFor(signIns, env, io.now());
  return openLedgerUrl({ ...access, signal: io.signal });
}

function tell(failure: Failure, json: boolean, io: Io): number {
  const exitCode = exitCodes[failure.kind];
  io.stderr.write(`latchkey: ${neutralise(failure.message)}\n`);
  if (failure.hint !== undefined) io.stderr.write(`  ${failure.hint}\n`);
  if (json) io.stdout.write(`${jsonText(problemDocument(failure, exitCode))}\n`);
  return exitCode;
}
