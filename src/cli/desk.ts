import { openClient, type Client } from './client.ts';
import { openConfigDirectory, configPath, type ConfigDirectory } from './config-directory.ts';
import { asFailure, exitCodes, ownFailureOffset, problemDocument } from './failure.ts';
import type { Io } from './io.ts';
import { openPrinter, type Printer } from './printer.ts';
import { accessFor, readSignIns } from './sign-ins.ts';
import { openTransport } from './transport.ts';

/** What a command works with. */
export interface Desk {
  readonly io: Io;
  readonly printer: Printer;
  readonly directory: ConfigDirectory;
  /** The API with the signed-in person's token. @throws Failure when nobody is signed in. */
  readonly client: () => Promise<Client>;
  /** The routes that need no token, at an address given. */
  readonly publicClient: (url: string) => Client;
}

/** Options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean;
}

/** Runs a command's work, tells what went wrong, and remembers the exit code. */
export type Runner = (
  options: CommonOptions,
  work: (desk: Desk) => Promise<number | void>,
  kind?: 'ordinary' | 'carrying',
) => Promise<void>;

/** A runner and where it leaves the exit code. A `carrying` command's own failures are 120 + the code (contract §1). */
export function openRunner(io: Io): { readonly run: Runner; exitCode(): number } {
  let exitCode: number = exitCodes.done;
  return {
    exitCode: () => exitCode,
    run: async (options, work, kind = 'ordinary') => {
      const desk = openDesk(io, options.json === true);
      try {
        exitCode = (await work(desk)) ?? exitCodes.done;
      } catch (thrown) {
        const failure = asFailure(thrown);
        exitCode = exitCodes[failure.kind] + (kind === 'carrying' ? ownFailureOffset : 0);
        desk.printer.failure(failure);
        desk.printer.document(problemDocument(failure, exitCode));
      }
    },
  };
}

function openDesk(io: Io, json: boolean): Desk {
  const directory = openConfigDirectory(configPath(io.env));
  const { signal, now } = io;
  return {
    io,
    printer: openPrinter(io, json),
    directory,
    client: async () => {
      const { url, token } = accessFor(await readSignIns(directory), io.env, now());
      return openClient(openTransport({ url, token, signal, now }));
    },
    publicClient: (url) => openClient(openTransport({ url, token: null, signal, now })),
  };
}
