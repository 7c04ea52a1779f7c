import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Reply, TestBroker } from './broker.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** What a program left behind. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `latchkey agent` of its own, enrolled with a test's broker. */
export interface AgentProcess {
  readonly pid: number;
  readonly device: string;
  readonly doorUrl: string;
  readonly stateDirectory: string;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** Ends it as a power cut would, but for what it has started. */
  kill(): Promise<void>;
  /** Its exit code, once it has ended, by whatever. */
  readonly exited: Promise<number | null>;
  /** Asks it to stop. @returns its exit code. */
  stop(): Promise<number | null>;
  /** Starts it again on the same state, after `kill` or `stop`. */
  again(config?: object): Promise<AgentProcess>;
}

/** Directories that tests made, to be removed when they are done. */
const directories: string[] = [];

/** Removes what the agents of a test left on disk. */
export async function removeAgentDirectories(): Promise<void> {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
}

/** An executable script of the shell, which stands for any program; an action may not be a shell itself. */
export async function writeScript(name: string, lines: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-script-'));
  directories.push(directory);
  const file = join(directory, name);
  await writeFile(file, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  return file;
}

/** Enrols a device of contoso's and starts its agent. @param config over a door on a free port of loopback. */
export async function startAgentProcess(broker: TestBroker, config: object): Promise<AgentProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
  directories.push(directory);
  const { body } = await broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id });
  return launch(directory, {
    brokerUrl: broker.config.publicUrl,
    stateDirectory: join(directory, 'state'),
    enrolmentCode: body.code,
    door: { host: '127.0.0.1', port: 0 },
    ...config,
  });
}

async function launch(directory: string, config: object): Promise<AgentProcess> {
  const file = join(directory, 'agent.json');
  await writeFile(file, JSON.stringify(config));
  const child = spawn(process.execPath, [main, 'agent', '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: dirname(dirname(main)),
  });
  const ended = once(child, 'exit');
  const lines: Record<string, unknown>[] = [];
  const ready = new Promise<Record<string, unknown>>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const entry = JSON.parse(line) as Record<string, unknown>;
      lines.push(entry);
      if (entry['message'] === 'ready') resolve(entry);
    });
    child.once('exit', (code) => reject(new Error(`the agent ended with ${code}: ${JSON.stringify(lines)}`)));
  });
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    child.kill(signal);
    const [code] = (await ended) as [number | null];
    return code;
  };
  const { device, door } = await ready;
  return {
    pid: child.pid!,
    device: String(device),
    doorUrl: String(door),
    stateDirectory: (config as { stateDirectory: string }).stateDirectory,
    lines,
    exited: ended.then(([code]: (number | null)[]) => code ?? null),
    async kill() {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
    again: (changes = {}) => launch(directory, { ...config, enrolmentCode: undefined, ...changes }),
  };
}

/** Runs `latchkey` as somebody who is signed in, in a process of its own. Of one that is `unread`, nothing is read. */
export function spawnLatchkey(
  line: readonly string[],
  env: Readonly<Record<string, string>>,
  reading: 'read' | 'unread' = 'read',
): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [main, ...line], {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: dirname(dirname(main)),
    env: { PATH: process.env['PATH'], ...env },
  });
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  if (reading === 'read') child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const ended = once(child, 'close').then(([code]: (number | null)[]) => ({
    code: code ?? null,
    stdout: Buffer.concat(stdout).toString(),
    stderr: Buffer.concat(stderr).toString(),
  }));
  return { child, ended };
}

/** The environment of somebody signed in to the broker, with a config directory of their own. */
export async function signedIn(broker: TestBroker, person: Parameters<TestBroker['issuer']['tokenFor']>[0]) {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-home-'));
  directories.push(directory);
  return {
    LATCHKEY_URL: broker.config.publicUrl,
    LATCHKEY_TOKEN: await broker.issuer.tokenFor(person),
    LATCHKEY_CONFIG_DIR: join(directory, 'latchkey'),
  };
}

export type GrantBody = Reply['body'];
