import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ActionContext } from '../../../src/agent/actions.ts';
import type { ControlGroups } from '../../../src/agent/program/cgroup.ts';
import { runCommand, type Command } from '../../../src/agent/program/run-command.ts';
import { createRunningActions, leftActions, type RunningAction } from '../../../src/agent/program/running-actions.ts';
import { newId } from '../../../src/domain/ids.ts';

/** A place for actions to run in, without a door before it. */
export interface Workshop {
  readonly directory: string;
  readonly logged: string[];
  /** Runs a program; what it writes is collected, unless the test reads it. */
  run(command: Partial<Command> & Pick<Command, 'file'>, options?: RunOptions): Promise<Ran>;
  /** Runs lines of the shell, which here stands for any program. */
  shell(script: string, options?: RunOptions): Promise<Ran>;
  /** What is written down as running. */
  left(): Promise<readonly RunningAction[]>;
  close(): Promise<void>;
}

export interface RunOptions {
  readonly controlGroups?: ControlGroups | null;
  readonly signal?: AbortSignal;
  readonly stdout?: ActionContext['stdout'];
  readonly timeLimitSeconds?: number;
  readonly graceMs?: number;
}

export interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function openWorkshop(): Promise<Workshop> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-workshop-'));
  const running = createRunningActions(directory, []);
  const logged: string[] = [];
  const session = { id: newId('session', Date.now()), grant: newId('grant', Date.now()) };
  const workshop: Workshop = {
    directory,
    logged,
    async run(command, options = {}) {
      const { controlGroups = null, signal = new AbortController().signal, timeLimitSeconds = 60 } = options;
      const texts = { stdout: '', stderr: '' };
      const context: ActionContext = {
        scope: 'app.test',
        session,
        signal,
        stdout: options.stdout ?? (async (data) => void (texts.stdout += Buffer.from(data).toString())),
        stderr: async (data) => void (texts.stderr += Buffer.from(data).toString()),
      };
      const whole: Command = { arguments: [], environment: {}, timeLimitSeconds, ...command };
      const log = (message: string): void => void logged.push(message);
      const end = { graceMs: options.graceMs ?? 300 };
      const exit = await runCommand(whole, context, { running, controlGroups, log, end });
      return { exit, ...texts };
    },
    shell: (script, options) => workshop.run({ file: '/bin/sh', arguments: ['-c', script] }, options),
    left: () => leftActions(directory),
    close: () => rm(directory, { recursive: true, force: true }),
  };
  return workshop;
}

/** Whether a process does something: one that has ended and is not yet looked at does not. */
export async function isAlive(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return text !== null && !/^\d+ \(.*\) [ZX]/s.test(text);
}

/** Waits until it is so, and fails when it does not become so. */
export async function eventually(what: () => boolean | Promise<boolean>, forMs = 10_000): Promise<void> {
  for (const until = Date.now() + forMs; Date.now() < until; await sleep(20)) if (await what()) return;
  throw new Error('it never came to be');
}

/** The number that a script has written into a file, once it has; the file is taken away. */
export async function pidIn(file: string): Promise<number> {
  let pid = 0;
  await eventually(async () => {
    pid = Number((await readFile(file, 'utf8').catch(() => '')).trim());
    return pid > 0;
  }, 20_000);
  await rm(file);
  return pid;
}
