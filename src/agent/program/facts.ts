import { arch, hostname, release, type } from 'node:os';
import { openMachine } from '../linux/files.ts';
import { identity, operatingSystem } from '../linux/system.ts';

/** What the device says of itself. */
export interface Facts {
  now(): Readonly<Record<string, unknown>>;
  /** Looks again. */
  refresh(): Promise<void>;
}

/** @param configured said as they are, over what was found out. */
export async function createFacts(configured: Readonly<Record<string, string>>): Promise<Facts> {
  let found: Readonly<Record<string, unknown>> = {};
  const facts: Facts = {
    now: () => ({ ...found, ...configured }),
    async refresh() {
      const general = { hostname: hostname(), os: `${type()} ${release()}`, architecture: arch() };
      const machine = openMachine();
      const here =
        process.platform === 'linux' ? { ...(await identity(machine)), ...(await operatingSystem(machine)) } : {};
      found = { ...general, ...here };
    },
  };
  await facts.refresh();
  return facts;
}
