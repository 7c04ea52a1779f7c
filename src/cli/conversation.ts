import { createInterface, type Interface } from 'node:readline';
import type { ListedAction } from '../agent/list-actions.ts';
import type { AccessSession } from './access-session.ts';
import { readActionArguments } from './action-arguments.ts';
import { actionOutput, type OutputWriter } from './action-output.ts';
import { completionsFor, describeActions } from './describe-actions.ts';
import type { Desk } from './desk.ts';
import { asFailure, exitCodes, Failure, ownFailureOffset, problemDocument } from './failure.ts';
import type { Input } from './io.ts';
import { neutralise } from './text/neutralise.ts';

/**
 * Reads actions a line at a time, from a terminal with a prompt or from a pipe without, until `exit`, the end of the
 * input, Ctrl-C, or the end of access. Returns the exit code of what was done last.
 */
export async function converse(desk: Desk, session: AccessSession, name: string, raw: boolean): Promise<number> {
  const { io, printer } = desk;
  if (!io.stdin) throw new Failure('usage', 'there is nothing to read actions from');
  const actions = await session.actions();
  const lines = openLines(desk, io.stdin, actions, `${name}> `);
  let isOpen = true;
  lines.once('close', () => void (isOpen = false));
  const close = (): void => {
    lines.close();
  };
  // A pipe gets no prompt, and a terminal that was closed meanwhile could not take it.
  const prompt = (): void => {
    if (lines.terminal && isOpen) lines.prompt();
  };
  session.over.addEventListener('abort', close, { once: true });
  io.signal.addEventListener('abort', close, { once: true });
  const write = actionOutput(io, raw);
  let exitCode: number = exitCodes.done;
  try {
    prompt();
    for await (const line of lines) {
      const [word, ...rest] = line.trim().split(/\s+/);
      if (word === 'exit' || word === 'quit') break;
      if (word === 'help' || word === '?') help(desk, actions);
      else if (word) exitCode = await act(desk, session, lines, word, rest, write);
      if (session.over.aborted || io.signal.aborted) break;
      prompt();
    }
    if (!session.over.aborted) return exitCode;
    printer.note(`latchkey: ended: ${neutralise(await session.whyOver())}`);
    return ownFailureOffset + exitCodes.refused;
  } finally {
    close();
  }
}

/** Does one action and tells how it went; what fails is told too, and the conversation goes on. */
async function act(
  { printer }: Desk,
  session: AccessSession,
  lines: Interface,
  scope: string,
  texts: readonly string[],
  write: OutputWriter,
): Promise<number> {
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  // A prompt keeps the terminal in raw mode, where Ctrl-C is a key of the prompt's and no signal.
  lines.on('SIGINT', interrupt);
  try {
    // Asked at the door, a slip of the finger would stand in the ledger as a refusal.
    if (!session.scopes.includes(scope)) {
      throw new Failure('usage', `the session allows no \`${scope}\``, { hint: 'type `help` to see what it allows' });
    }
    const args = readActionArguments(texts);
    const end = await session.act(
      scope,
      args,
      async (piece) => {
        if (printer.json) printer.document(piece);
        else await write(piece);
      },
      stop.signal,
    );
    printer.document(end);
    if ('ended' in end) {
      if (!session.over.aborted) printer.note(`latchkey: ended: ${neutralise(await session.whyOver(end.ended))}`);
      return ownFailureOffset + exitCodes.refused;
    }
    if (end.exit !== 0) printer.note(`(${scope} ended with ${end.exit})`);
    return end.exit;
  } catch (thrown) {
    const failure = asFailure(thrown);
    const exitCode = ownFailureOffset + exitCodes[failure.kind];
    printer.failure(failure);
    printer.document(problemDocument(failure, exitCode));
    return exitCode;
  } finally {
    lines.off('SIGINT', interrupt);
  }
}

function openLines(desk: Desk, stdin: Input, actions: readonly ListedAction[], prompt: string): Interface {
  const output = desk.printer.json ? desk.io.stderr : desk.io.stdout;
  if (stdin.isTTY !== true || output.isTTY !== true) return createInterface({ input: stdin, terminal: false });
  const lines = createInterface({
    input: stdin,
    output: output as NodeJS.WriteStream,
    prompt,
    completer: (line: string) => complete(actions, line),
  });
  lines.on('SIGINT', () => {
    if (lines.listenerCount('SIGINT') === 1) lines.close();
  });
  return lines;
}

/** What could stand where the line ends: an action first, then what it takes. */
export function complete(actions: readonly ListedAction[], line: string): [found: string[], start: string] {
  const words = line.trimStart().split(/\s+/);
  const start = words.at(-1)!;
  const all =
    words.length === 1
      ? [...actions.map(({ scope }) => scope), 'help', 'exit']
      : completionsFor(actions, words[0]!).filter((each) => !words.slice(1, -1).some((word) => sameKey(word, each)));
  return [all.filter((each) => each.startsWith(start)).map(neutralise), start];
}

function sameKey(one: string, other: string): boolean {
  return one.split('=', 1)[0] === other.split('=', 1)[0];
}

function help({ printer }: Desk, actions: readonly ListedAction[]): void {
  printer.document({ actions });
  describeActions(printer, actions);
}
