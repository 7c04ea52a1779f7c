import type { BenchOptions } from '../main.ts';
import type { World } from '../lifecycle/world.ts';
import type { BrokerOfMany, Site } from './brokers.ts';

/** What the phases share. */
export interface Stage {
  readonly site: Site;
  readonly world: World;
  readonly brokers: BrokerOfMany[];
  readonly postgres: number;
  readonly options: BenchOptions;
}

/** Sessions that are revoked while the fleet is connected: enough for a p99. */
export const sessions = 200;
/** How long things are left alone before memory is looked at, in milliseconds. */
export const settle = 5_000;
