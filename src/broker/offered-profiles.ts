import { newId } from '../domain/ids.ts';
import type { Profile } from '../domain/profile.ts';
import { decide } from '../policy/index.ts';
import type { BrokerContext, Caller } from './context.ts';

/**
 * The profiles that someone may ask for: those that policy would permit for the shortest while on a device of this
 * region of which nothing else is known. What depends on the very device is decided when they ask.
 */
export function offeredProfiles(context: BrokerContext, caller: Caller): Profile[] {
  const bundle = context.policy();
  const now = Date.now();
  const tenant = { id: newId('tenant', now), slug: 'any', region: context.region };
  const device = { id: newId('device', now), tenant, facts: {}, inUse: false };
  const offered = [...bundle.profiles.values()].filter(
    (profile) =>
      decide(bundle, {
        action: 'request',
        person: caller,
        profile,
        device,
        duration: 1,
        total: 1,
        reviewOverdue: false,
        now,
      }).allowed,
  );
  return offered;
}
