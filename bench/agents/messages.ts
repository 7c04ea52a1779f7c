import type { JWK } from 'jose';
import type { DeviceId, TenantId } from '../../src/domain/ids.ts';

/** A device as its agent is started: with the key that it was enrolled by. */
export interface FleetDevice {
  readonly id: DeviceId;
  readonly jwk: JWK;
  /** True for one that people have sessions on: it opens a door. */
  readonly hasDoor: boolean;
}

/** What a process with agents in it is told. Addresses are the brokers that may be connected to, as a balancer knows. */
export type Order =
  | { readonly order: 'start'; readonly fleet: Fleet; readonly addresses: readonly string[] }
  | { readonly order: 'route'; readonly addresses: readonly string[] }
  | { readonly order: 'look'; readonly forget: boolean };

export interface Fleet {
  readonly issuer: string;
  readonly tenant: TenantId;
  readonly ledgerKey: string;
  readonly devices: readonly FleetDevice[];
  /** True for those of which nothing is measured but that they are there. */
  readonly isCrowd: boolean;
}

/** What it answers to each order. */
export interface Look {
  /** Agents whose stream is open and has brought a list. */
  readonly open: number;
  /** Agents without a list in force: their doors are shut. */
  readonly shut: number;
  /** The most agents that were shut at one time since this was last forgotten, looked at four times a second. */
  readonly mostShut: number;
  /** Streams that were opened since the start. */
  readonly opened: number;
  readonly doors: readonly (readonly [device: DeviceId, url: string])[];
  /** What agents said of streams lost and lists not had, and how often. */
  readonly losses: Readonly<Record<string, number>>;
}
