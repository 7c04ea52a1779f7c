import { createHash, randomBytes } from 'node:crypto';

import type { DeviceEvent } from '../domain/device-event.ts';

export type { DeviceEvent, EndCause } from '../domain/device-event.ts';

/** What the broker takes for a duration: a device may have been off for longer. */
const longestMs = 2_147_483_647;

/** Milliseconds, whole, and no more than an event has room for. */
export function durationIn(ms: number): number {
  return Math.min(longestMs, Math.max(0, Math.round(ms)));
}

/**
 * What is told of something that was going on when the agent died.
 * @param begunMs since it began. @param deadMs since the agent was last known to live.
 */
export function cutOffByDeath(event: DeviceEvent, begunMs: number, deadMs: number): DeviceEvent {
  if (event.type === 'action.performed') return { ...event, durationMs: durationIn(begunMs) };
  return event.type === 'session.ended' ? { ...event, lagMs: durationIn(deadMs) } : event;
}

/** The arguments of an action, by name. */
export type ActionArguments = Readonly<Record<string, string | number | boolean>>;

export interface ArgumentsCommitment {
  /** base64url SHA-256 over the salt's bytes followed by the arguments as RFC 8785 canonical JSON. */
  readonly commitment: string;
  /** base64url of 128 random bits: whoever has it and the arguments can open the commitment. */
  readonly salt: string;
}

/** Commits to the arguments of an action without telling them; null when there are none. */
export function commitToArguments(args: ActionArguments): ArgumentsCommitment | null {
  const names = Object.keys(args).sort();
  if (names.length === 0) return null;
  const salt = randomBytes(16);
  // Of flat objects, RFC 8785 asks no more than members in order.
  const text = JSON.stringify(Object.fromEntries(names.map((name) => [name, args[name]])));
  const commitment = createHash('sha256').update(salt).update(text, 'utf8').digest('base64url');
  return { commitment, salt: salt.toString('base64url') };
}
