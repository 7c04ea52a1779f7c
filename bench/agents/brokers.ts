import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { IdentityProviderConfig } from '../../src/http/identity/types.ts';
import { brokerConfig, startBrokerProcess, type BrokerProcess } from '../lifecycle/broker-process.ts';

/** A broker of several that share one name and one database, each on a loopback address of its own. */
export interface BrokerOfMany {
  readonly address: string;
  readonly url: string;
  readonly process: BrokerProcess;
}

export interface Site {
  readonly directory: string;
  readonly port: number;
  readonly provider: IdentityProviderConfig;
  readonly databaseUrl: string;
}

export const publicUrlOf = ({ port }: Site): string => `http://localhost:${port}`;

/** @param number from 1. @param profile a folder in which it leaves a CPU profile when it stops. */
export async function startBrokerOf(site: Site, number: number, profile?: string): Promise<BrokerOfMany> {
  const { directory, port, provider, databaseUrl } = site;
  const address = `127.0.0.${number}`;
  const config = {
    ...brokerConfig(directory, port, provider),
    publicUrl: publicUrlOf(site),
    listen: { host: address, port },
    database: { url: databaseUrl },
    secrets: { directory: join(directory, 'secrets') },
  };
  const started = await startBrokerProcess(directory, config, { name: `broker-${number}`, profile });
  return { address, url: `http://${address}:${port}`, process: started };
}

/** Open files that a broker needs beside one a stream, with room for calls that come at once. */
const spare = 2_000;

/** @throws when this system does not let a process have as many open files as that many streams need. */
export function requireOpenFiles(streams: number): void {
  if (process.platform === 'win32') return;
  const text = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  const needed = streams + spare;
  if (text === 'unlimited' || Number(text) >= needed) return;
  throw new Error(
    `a process may have ${text} open files here, and ${streams} streams need ${needed}: raise the limit ` +
      `(\`ulimit -n ${needed}\` as root, or \`LimitNOFILE=\`), or measure fewer with \`--agents\``,
  );
}

/** Starts so many brokers, one after the other, in place of those that are in the list. */
export async function startAll(site: Site, brokers: BrokerOfMany[], count: number, profile?: string): Promise<void> {
  for (let number = 1; number <= count; number++) brokers[number - 1] = await startBrokerOf(site, number, profile);
}
