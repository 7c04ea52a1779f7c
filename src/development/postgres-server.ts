import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { readServerFile, shutdown } from './postgres-orphan.ts';
import { PortTaken } from './postgres-port.ts';
import { logOf, spawnAs, spawnOnData } from './postgres-spawn.ts';
import type { RunOptions } from './postgres-spawn.ts';

export interface ServerOptions extends RunOptions {
  readonly program: string;
  readonly port: number;
  readonly settings: Readonly<Record<string, string>>;
  /** Called when the server ends though nobody stopped it. */
  readonly onLoss: (reason: string) => void;
}

export interface Server {
  /** Ends it within ten seconds, the first of them for a shutdown that needs no recovery. */
  stop(): Promise<void>;
}

/** Long enough for a server that has to recover first. */
const startPatience = 120_000;

/**
 * Starts PostgreSQL in a session of its own, so that a Ctrl-C in the terminal reaches us and not it, and waits until it
 * takes connections. It ends with us even if we are killed: a guard sees its pipe close and asks for a fast shutdown.
 * It does not keep our process from ending.
 * @throws PortTaken when somebody else listens on the port.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const said = logOf(options.logFile);
  const settings = Object.entries({ ...options.settings, port: String(options.port) });
  const child = await spawnOnData(
    options,
    options.program,
    settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  );
  const guard = spawnAs(
    options.account,
    '/bin/sh',
    ['-c', guardScript, 'latchkey-guard', String(child.pid)],
    ['pipe', 'ignore', 'ignore'],
  );
  child.once('exit', () => guard.kill('SIGKILL'));
  const why = await waitUntilReady(child, options.data);
  if (why) {
    await stopChild(child);
    if (/could not bind|could not create any TCP/.test(said())) throw new PortTaken(`port ${options.port} is taken`);
    throw new Error(`PostgreSQL ${why}; it said: ${said()}`);
  }
  const reportLoss = (code: number | null, signal: string | null): void =>
    options.onLoss(`PostgreSQL ended with ${signal ?? `exit code ${code}`}; see \`${options.logFile}\``);
  child.once('exit', reportLoss);
  for (const part of [child, guard, guard.stdin as Socket]) part.unref();
  return {
    async stop() {
      child.off('exit', reportLoss);
      await stopChild(child);
    },
  };
}

const guardScript = 'while read -r line; do :; done; kill -INT "$1"';

/** Null once the server takes connections, else what went wrong. */
async function waitUntilReady(child: ChildProcess, data: string): Promise<string | null> {
  const deadline = performance.now() + startPatience;
  while (performance.now() < deadline) {
    if (hasEnded(child)) return 'did not start';
    const file = readServerFile(data);
    if (file?.ready && file.pid === child.pid) return null;
    await sleep(10);
  }
  return 'was not ready within two minutes';
}

async function stopChild(child: ChildProcess): Promise<void> {
  for (const [signal, patience] of shutdown) {
    if (hasEnded(child)) return;
    child.kill(signal);
    const deadline = performance.now() + patience;
    while (!hasEnded(child) && performance.now() < deadline) await sleep(10);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
