import { parseArgs } from 'node:util';
import type { ReplayDifference, ReplaySummary } from '../ledger/recorded-decisions.ts';
import { databaseFailure, usageFailure } from './ledger-failures.ts';
import { openRunner } from './desk.ts';
import { exitCodes } from './failure.ts';
import type { Io } from './io.ts';

export const replayUsage = 'usage: latchkey ledger replay --database URL [--json]';

/** Makes the recorded decisions again; handed in by whoever has a policy engine and a database. */
export type Replay = (
  databaseUrl: string,
  listener: { difference(found: ReplayDifference): void; progress(done: number, size: number): void },
) => Promise<ReplaySummary>;

/** `latchkey ledger replay`: exits 0 when every decision comes out as it was recorded, 1 when one does not. */
export async function runLedgerReplay(argv: readonly string[], io: Io, replay: Replay): Promise<number> {
  const runner = openRunner(io);
  await runner.run({ json: argv.includes('--json') }, async ({ printer }) => {
    const { database, help } = readOptions(argv);
    if (help) {
      io.stdout.write(`${replayUsage}\n`);
      return exitCodes.done;
    }
    const summary = await replay(database, {
      difference(found) {
        printer.document({ difference: found });
        printer.line(differenceLine(found));
      },
      progress: (done, size) => printer.live(`${words(done)} of ${words(size)} entries`),
    }).catch((error: unknown) => {
      throw databaseFailure(error, 'use the URL of the broker’s role or of the owner: inputs are about persons');
    });
    printer.live('');
    printer.document({ summary });
    printer.line(summaryLine(summary));
    return summary.differences === 0 ? exitCodes.done : exitCodes.failed;
  });
  return runner.exitCode();
}

function readOptions(argv: readonly string[]): { readonly database: string; readonly help: boolean } {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: { database: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean' } },
    });
    if (!values.help && !values.database) throw new Error('`--database` is missing');
    return { database: values.database ?? '', help: values.help ?? false };
  } catch (error) {
    throw usageFailure(error, replayUsage);
  }
}

function differenceLine({ index, id, type, problem, recorded, redecided }: ReplayDifference): string {
  const which = [String(index), id, type].filter((part) => part !== null).join(' ');
  const lists = [recorded && `recorded ${list(recorded)}`, redecided && `re-decided ${list(redecided)}`];
  const detail = lists.filter((part) => part !== null).join(', ');
  return `${which}: ${problem}${detail && `: ${detail}`}`;
}

function list(policies: readonly string[]): string {
  return policies.length === 0 ? 'none' : policies.map((policy) => `\`${policy}\``).join(' ');
}

function summaryLine({ entries, decisions, erased, differences }: ReplaySummary): string {
  const gone = erased === 0 ? '' : `; the inputs of ${words(erased)} have been erased`;
  const verdict = differences === 0 ? 'all as recorded' : `${words(differences)} not as recorded`;
  return `${words(decisions)} decisions in ${words(entries)} entries made again: ${verdict}${gone}`;
}

function words(count: number): string {
  return count.toLocaleString('en');
}
