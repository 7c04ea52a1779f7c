import { type Command, InvalidArgumentError } from 'commander';
import { idPrefixes, isId, type Id, type IdKind } from '../domain/ids.ts';
import { formatDuration } from '../domain/duration.ts';
import { readDuration } from './text/time-words.ts';

/** Starts a command: its name and arguments, one line for the list, a paragraph for its own help, examples. */
export function command(
  program: Command,
  usage: string,
  summary: string,
  examples: readonly string[],
  more = '',
): Command {
  const shown = examples.map((example) => `  latchkey ${example}`).join('\n');
  const [name] = usage.split(' ');
  return program
    .command(usage)
    .showHelpAfterError(`see \`latchkey ${name} --help\``)
    .summary(summary)
    .description(`${summary[0]!.toUpperCase()}${summary.slice(1)}.${more && ` ${more}`}`)
    .option('--json', 'write JSON on standard output, and nothing else there')
    .addHelpText('after', `\n${examples.length > 1 ? 'Examples' : 'Example'}:\n${shown}`);
}

/** Reads `30m`, `1h30m` or `PT30M` and returns ISO 8601, as the API takes it. */
export function durationArgument(text: string): string {
  const seconds = readDuration(text);
  if (seconds === null || seconds < 1) throw new InvalidArgumentError('write a duration like 30m, 1h30m or PT30M.');
  return formatDuration(seconds);
}

/** Reads text that may not be empty, like a reason. */
export function textArgument(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('it may not be empty.');
  return text.trim();
}

/** Reads how many items a list may have. */
export function limitArgument(text: string): number {
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1) throw new InvalidArgumentError('write a whole number from 1.');
  return limit;
}

/** Reads values separated by commas. */
export function listArgument(text: string): readonly string[] {
  const values = text.split(',').map((value) => value.trim());
  if (values.includes('')) throw new InvalidArgumentError('write values separated by commas.');
  return values;
}

/** Reads an id of one kind; an id of another kind is named for what it is. */
export function idArgument<K extends IdKind>(kind: K): (text: string) => Id<K> {
  return (text) => {
    if (isId(kind, text)) return text;
    const other = (Object.keys(idPrefixes) as IdKind[]).find((candidate) => isId(candidate, text));
    throw new InvalidArgumentError(
      other
        ? `that is the id of a ${other}, not of a ${kind}.`
        : `the id of a ${kind} looks like ${idPrefixes[kind]}_….`,
    );
  };
}

export const defaultLimit = 50;
