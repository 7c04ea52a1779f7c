import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort, type TestBroker } from './broker.ts';

/** A `latchkey serve` of its own, beside a test's brokers and on their database, to be killed. */
export interface BrokerProcess {
  readonly url: string;
  readonly lines: object[];
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  /** Asks it to stop. @returns its exit code. */
  stop(): Promise<number | null>;
}

/** The name of its connections, by which a test can tell them from others. */
export const victim = 'latchkey-victim';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** @param program what `latchkey` is: the checkout's sources when not given. */
export async function startBrokerProcess(broker: TestBroker, program = main): Promise<BrokerProcess> {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-serve-'));
  const file = join(directory, 'config.json');
  const url = new URL(broker.database.appUrl);
  url.searchParams.set('application_name', victim);
  // The parsed configuration says more than a file may, such as durations in seconds.
  const { publicUrl, region, identityProviders, policies, secrets, ledger, rateLimits } = broker.config;
  const config = { publicUrl, region, identityProviders, policies, secrets, ledger, rateLimits };
  await writeFile(
    file,
    JSON.stringify({ ...config, listen: { host: '127.0.0.1', port }, database: { url: url.href, poolSize: 5 } }),
  );
  const child: ChildProcess = spawn(process.execPath, [program, 'serve', '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: dirname(dirname(main)),
  });
  const ended = once(child, 'exit');
  const lines: object[] = [];
  const ready = new Promise<void>((resolve, reject) => {
    createInterface(child.stdout!).on('line', (line) => {
      const entry = JSON.parse(line) as { message: string };
      lines.push(entry);
      if (entry.message === 'ready') resolve();
    });
    child.once('exit', (code) => reject(new Error(`the broker ended with ${code}: ${JSON.stringify(lines)}`)));
  });
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    child.kill(signal);
    const [code] = (await ended) as [number | null];
    await rm(directory, { recursive: true, force: true });
    return code;
  };
  await ready;
  return {
    url: `http://127.0.0.1:${port}`,
    lines,
    async kill() {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
  };
}
