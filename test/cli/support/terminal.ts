import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { runCli, type Io, type Output } from '../../../src/cli/main.ts';

/** What one command line left behind. */
export interface Transcript {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TerminalOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Columns of the terminal; without it, output goes to a pipe. */
  readonly columns?: number;
  readonly stdin?: string;
  readonly signal?: AbortSignal;
  readonly now?: () => number;
  /** Told all that standard output has so far, each time there is more. */
  readonly onStdout?: (text: string) => void;
}

/** Somebody's machine: a config directory of its own, and a command line to type into. */
export interface Terminal {
  readonly directory: string;
  type(line: readonly string[], options?: TerminalOptions): Promise<Transcript>;
  clear(): void;
}

export function openTerminal(env: Readonly<Record<string, string>> = {}): Terminal {
  const home = mkdtempSync(join(tmpdir(), 'latchkey-cli-'));
  const directory = join(home, 'latchkey');
  return {
    directory,
    async type(line, options = {}) {
      const [stdout, stderr] = [capture(options.columns, options.onStdout), capture(options.columns)];
      const io: Io = {
        stdout: stdout.output,
        stderr: stderr.output,
        stdin: Readable.from(options.stdin === undefined ? [] : [options.stdin]),
        env: { LATCHKEY_CONFIG_DIR: directory, ...env, ...options.env },
        now: options.now ?? Date.now,
        signal: options.signal ?? new AbortController().signal,
      };
      const code = await runCli(line, io);
      return { code, stdout: stdout.text(), stderr: stderr.text() };
    },
    clear: () => rmSync(home, { recursive: true, force: true }),
  };
}

/** Every line of standard output as JSON: throws when anything else is there. */
export function jsonLinesOf({ stdout }: Transcript): unknown[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

function capture(
  columns: number | undefined,
  onText?: (text: string) => void,
): { readonly output: Output; text(): string } {
  const pieces: Buffer[] = [];
  const output: Output = {
    write: (piece) => {
      pieces.push(typeof piece === 'string' ? Buffer.from(piece) : Buffer.from(piece));
      onText?.(Buffer.concat(pieces).toString());
    },
    isTTY: columns !== undefined,
    columns,
  };
  return { output, text: () => Buffer.concat(pieces).toString() };
}
