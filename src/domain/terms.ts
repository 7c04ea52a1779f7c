import { invalid } from './errors.ts';
import type { DeviceId } from './ids.ts';

/** What is asked for or given: for how long, which scopes, on which devices. */
export interface Terms {
  /** Whole seconds. */
  readonly duration: number;
  readonly scopes: readonly string[];
  readonly devices: readonly DeviceId[];
}

/** What an approver cuts down; what is absent stays as asked. */
export interface Narrow {
  readonly duration?: number;
  readonly scopes?: readonly string[];
  readonly devices?: readonly DeviceId[];
}

/**
 * The narrowest of all approvals: the shortest duration, the scopes and devices that every one of them leaves.
 * @param durationOnly for extensions, which add time to a grant whose scopes and devices stand.
 * @throws invalid-request when one of them widens what was asked or all together leave nothing.
 */
export function narrowest(asked: Terms, narrows: readonly (Narrow | null)[], durationOnly = false): Terms {
  let { duration, scopes, devices } = asked;
  for (const narrow of narrows) {
    if (!narrow) continue;
    if (durationOnly && (narrow.scopes ?? narrow.devices)) {
      throw invalid('/narrow', 'an extension can be narrowed in its duration only');
    }
    if (narrow.duration !== undefined) {
      if (narrow.duration > asked.duration) throw invalid('/narrow/duration', 'longer than what was asked for');
      duration = Math.min(duration, narrow.duration);
    }
    scopes = narrowList(asked.scopes, scopes, narrow.scopes, 'scopes');
    devices = narrowList(asked.devices, devices, narrow.devices, 'devices');
  }
  if (duration < 1) throw invalid('/narrow/duration', 'leaves nothing to grant');
  return { duration, scopes, devices };
}

function narrowList<T extends string>(
  asked: readonly T[],
  left: readonly T[],
  narrow: readonly T[] | undefined,
  what: 'scopes' | 'devices',
): readonly T[] {
  if (!narrow) return left;
  const foreign = narrow.findIndex((item) => !asked.includes(item));
  if (foreign >= 0) throw invalid(`/narrow/${what}/${foreign}`, `\`${narrow[foreign]}\` was not asked for`);
  const rest = left.filter((item) => narrow.includes(item));
  if (rest.length === 0) throw invalid(`/narrow/${what}`, 'leaves nothing to grant');
  return rest;
}
