/** Where text goes: a terminal, when it says so. */
export interface Output {
  write(text: string | Uint8Array): unknown;
  /** Told when there is room again after a `write` that answered false. */
  once?(event: 'drain', listener: () => void): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Where lines come from, for `connect`. */
export type Input = NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined };

/** A command of the server's side, run by whoever hands it in, with the arguments after its name. */
export interface ServerCommand {
  readonly name: string;
  readonly summary: string;
  readonly run: (argv: readonly string[]) => Promise<number>;
}

/** All that the command line has of the world: a test hands in its own. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin?: Input | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Aborted by Ctrl-C: what runs ends tidily, and says how things stand. */
  readonly signal: AbortSignal;
  /** `serve`, `migrate`, `agent`, `policy`, `ledger`: shown in the help, run by whoever handed them in. */
  readonly serverCommands?: readonly ServerCommand[] | undefined;
}
