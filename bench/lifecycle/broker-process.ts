import { spawn, type ChildProcess } from 'node:child_process';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { IdentityProviderConfig } from '../../src/http/identity/types.ts';

const main = fileURLToPath(new URL('../../scripts/latchkey.mjs', import.meta.url));
const policies = fileURLToPath(new URL('../../policies', import.meta.url));
const patience = 120_000;

/** A broker as it is run for real: `latchkey serve` in a process of its own, with the embedded PostgreSQL below it. */
export interface BrokerProcess {
  readonly pid: number;
  /** How long it took from its start until `/readyz` answered 200. */
  readonly readySeconds: number;
  signal(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

export type BrokerConfig = ReturnType<typeof brokerConfig>;

export interface BrokerProcessOptions {
  /** What its files are called, where there are several in a directory. */
  readonly name?: string;
  /** A folder in which it leaves a CPU profile when it stops. */
  readonly profile?: string | undefined;
}

/** The configuration of `serve`, but for limits on calls, which would measure themselves. */
export function brokerConfig(directory: string, port: number, provider: IdentityProviderConfig) {
  const unlimited = { perSecond: 1_000_000, burst: 1_000_000 };
  return {
    publicUrl: `http://127.0.0.1:${port}`,
    listen: { host: '127.0.0.1', port },
    region: 'EU',
    database: { embedded: join(directory, 'postgres') },
    identityProviders: [provider],
    policies,
    secrets: { directory: join(directory, 'secrets') },
    ledger: { origin: 'latchkey.bench/eu' },
    rateLimits: { person: unlimited, device: unlimited, address: unlimited },
  };
}

export async function startBrokerProcess(
  directory: string,
  config: Omit<BrokerConfig, 'database'> & { readonly database: object },
  { name = 'broker', profile }: BrokerProcessOptions = {},
): Promise<BrokerProcess> {
  const file = join(directory, `${name}.json`);
  const logFile = join(directory, `${name}.log`);
  writeFileSync(file, JSON.stringify(config));
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const started = performance.now();
  const child = spawn(process.execPath, [...profiling, main, 'serve', '--config', file], {
    stdio: ['ignore', openSync(logFile, 'a'), openSync(logFile, 'a')],
  });
  const { host, port } = config.listen;
  // Whatever becomes of the bench, no broker outlives it.
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  while (!(await isReady(`http://${host}:${port}`))) {
    if (child.exitCode !== null || performance.now() - started > patience) {
      child.kill('SIGKILL');
      throw new Error(`the broker did not get ready; it said: ${readFileSync(logFile, 'utf8').slice(-2_000)}`);
    }
    await sleep(5);
  }
  const readySeconds = (performance.now() - started) / 1_000;
  return { pid: child.pid!, readySeconds, signal: (signal) => void child.kill(signal), stop: () => stop(child) };
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`);
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
