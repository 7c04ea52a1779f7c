import type { Device, Grant } from './answers.ts';
import type { Client } from './client.ts';
import { deviceName } from './device-names.ts';
import { Failure } from './failure.ts';
import { relativeTime } from './text/time-words.ts';

const mostGrants = 200;

/**
 * Finds an active grant of mine for the device, and for the scope where one is named; of several the one that lasts
 * longest. @throws Failure that says what there is instead, and how to get what is missing.
 */
export async function findGrant(client: Client, device: Device, scope: string | null, now: number): Promise<Grant> {
  const { items } = await client.grants({ state: ['active', 'scheduled'], device: device.id }, mostGrants);
  const active = items.filter(({ state }) => state === 'active');
  const fitting = active.filter(({ scopes }) => scope === null || scopes.includes(scope));
  if (fitting.length > 0) return fitting.reduce((a, b) => (b.expiresAt > a.expiresAt ? b : a));
  throw await noGrant(client, device, scope, items, now);
}

async function noGrant(
  client: Client,
  device: Device,
  scope: string | null,
  grants: readonly Grant[],
  now: number,
): Promise<Failure> {
  const what = scope === null ? `on \`${deviceName(device)}\`` : `for \`${scope}\` on \`${deviceName(device)}\``;
  const scheduled = grants.find(
    (grant) => grant.state === 'scheduled' && (scope === null || grant.scopes.includes(scope)),
  );
  if (scheduled) {
    const starts = relativeTime(scheduled.startsAt, now);
    return new Failure('failed', `your grant ${what} starts ${starts}`, { hint: `it is \`${scheduled.id}\`` });
  }
  const active = grants.find(({ state }) => state === 'active');
  const allowed = active ? `your grant \`${active.id}\` allows ${active.scopes.join(', ')}; ` : '';
  const profile = await profileWith(client, scope);
  return new Failure('failed', `you have no active grant ${what}`, {
    hint: profile
      ? `${allowed}ask with \`latchkey request ${profile} ${device.id} --for 30m --reason "…" --wait\``
      : `${allowed}no profile that you may ask for has this; see \`latchkey profiles\``,
  });
}

async function profileWith(client: Client, scope: string | null): Promise<string | null> {
  const page = await client.profiles().catch(() => null);
  return page?.items.find(({ scopes }) => scope === null || scopes.includes(scope))?.name ?? null;
}
