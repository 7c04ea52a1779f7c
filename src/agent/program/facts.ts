import { hostname, release, type } from 'node:os';

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
      found = { hostname: hostname(), os: `${type()} ${release()}` };
    },
  };
  await facts.refresh();
  return facts;
}
