import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ActionContext } from '../actions.ts';
import type { ControlGroup, ControlGroups } from './cgroup.ts';
import { endProcesses, type EndOptions } from './end-processes.ts';
import { markName } from './processes.ts';
import type { RunningActions } from './running-actions.ts';

export interface Command {
  readonly file: string;
  readonly arguments: readonly string[];
  /** All of the environment but what every action has. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeLimitSeconds: number;
}

export interface CommandOptions {
  readonly running: RunningActions;
  readonly controlGroups: ControlGroups | null;
  readonly log: (message: string, details?: Readonly<Record<string, unknown>>) => void;
  readonly end?: EndOptions;
}

/** Exit codes that a command which had none gets: as those of env(1) and timeout(1). */
const exitCodes = { tooLate: 124, notExecutable: 126, notFound: 127, killed: 128 } as const;
const environmentOfAll =
  process.platform === 'win32'
    ? {}
    : { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };
/** How long a client that does not read is waited for once the action has to end. */
const lastOutputMs = 1_000;

/**
 * Runs a program for an action, without a shell and with an environment of its own, and streams what it writes; a
 * client that does not read makes the program wait. Resolves with its exit code once none of its processes is left,
 * neither in its process group nor anywhere else it may have gone.
 */
export async function runCommand(command: Command, context: ActionContext, options: CommandOptions): Promise<number> {
  const { running, log } = options;
  const { scope, session, signal } = context;
  const mark = randomBytes(16).toString('hex');
  const group = options.controlGroups?.make(mark) ?? null;
  const controlGroup = group?.directory ?? null;
  await running.began({ mark, scope, session: session.id, grant: session.grant, beganAt: Date.now(), controlGroup });
  // If we stop here or anywhere below, the next start finds the mark and ends what carries it.
  const child = start(command, mark, group);
  const exited = exitOf(child);
  const output = Promise.all([pump(child.stdout!, context.stdout), pump(child.stderr!, context.stderr)]);
  const stopped = stopAfter(command.timeLimitSeconds, signal);
  try {
    await Promise.race([exited, stopped.promise]);
    const isGone = await endProcesses({ mark, leader: child.pid ?? null, controlGroup }, options.end);
    if (isGone) await running.gone(mark);
    else log('a process of an action cannot be killed', { scope, session: session.id });
    await Promise.race([output, stopped.promise.then(() => sleep(lastOutputMs))]);
    if (stopped.isTooLate()) {
      const told = context.stderr(`\`${scope}\` was stopped after ${command.timeLimitSeconds} s\n`);
      await Promise.race([told, sleep(lastOutputMs)]);
      return exitCodes.tooLate;
    }
    const end = isGone ? await exited : null;
    if (!(end instanceof Error)) return end ?? exitCodes.killed;
    await context.stderr(`\`${command.file}\` cannot be run on this device\n`);
    log('the program of an action cannot be run', { scope, why: end.message });
    return (end as NodeJS.ErrnoException).code === 'EACCES' ? exitCodes.notExecutable : exitCodes.notFound;
  } finally {
    stopped.clear();
    child.stdout!.destroy();
    child.stderr!.destroy();
  }
}

function start(command: Command, mark: string, group: ControlGroup | null): ChildProcess {
  const begin = (): ChildProcess =>
    spawn(command.file, [...command.arguments], {
      ...(process.platform === 'win32' ? {} : { cwd: '/' }),
      env: { ...environmentOfAll, ...command.environment, [markName]: mark },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A session and a process group of its own.
      detached: true,
      windowsHide: true,
    });
  return group ? group.startIn(begin) : begin();
}

/** The exit code, or why there was nothing that could exit. Never rejects. */
function exitOf(child: ChildProcess): Promise<number | Error> {
  return new Promise((resolve) => {
    child.once('error', resolve);
    child.once('exit', (code, signal) => resolve(code ?? exitCodes.killed + (signal ? constants.signals[signal] : 0)));
  });
}

/** Reads on only once what was read is taken, so that the program waits and nothing piles up. Never rejects. */
async function pump(stream: Readable, write: (data: Uint8Array) => Promise<void>): Promise<void> {
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) await write(chunk);
  } catch {
    // Destroyed, since nobody wants the rest.
  }
}

interface Stop {
  /** Resolves when the action has to end, by its time or because it was cut off. */
  readonly promise: Promise<void>;
  isTooLate(): boolean;
  clear(): void;
}

function stopAfter(seconds: number, signal: AbortSignal): Stop {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isTooLate = false;
  const timer = setTimeout(() => {
    isTooLate = true;
    resolve();
  }, seconds * 1_000);
  const cutOff = (): void => resolve();
  signal.addEventListener('abort', cutOff, { once: true });
  if (signal.aborted) resolve();
  return {
    promise,
    isTooLate: () => isTooLate && !signal.aborted,
    clear() {
      clearTimeout(timer);
      signal.removeEventListener('abort', cutOff);
    },
  };
}
