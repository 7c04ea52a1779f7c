import { LatchkeyError, invalid } from '../domain/errors.ts';
import { requireActive, type ActiveGrant } from '../domain/grant.ts';
import { canonicalJson } from '../ledger/canonical.ts';
import type { Commitment } from '../ledger/events.ts';
import type { Device } from '../store/devices.ts';
import { fixKey } from '../store/grant-changes.ts';
import type { StoredGrant } from '../store/grants.ts';
import type { FixedTenant } from '../store/tenants.ts';
import type { Tx } from '../store/transaction.ts';
import { RecordedRefusal, refusedByPolicy } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import type { Journal } from './journal.ts';
import { refuseOnGrant, requireOwnGrant } from './own-grant.ts';
import { decideUse } from './request-access.ts';

/** A grant that its holder may use on a device now, with the key that they have shown. */
export interface UsableGrant {
  readonly grant: ActiveGrant;
  readonly tenant: FixedTenant;
  readonly device: Device;
  readonly now: Date;
  /** Commits to the decision of policy. */
  decision(): Commitment;
  /** Binds the grant to the key, if it is not yet. */
  bindKey(): void;
}

/** What a holder uses a grant for, and what shows that it is they. */
export interface Use {
  /** The locked grant and the device, as far as there are such. */
  readonly stored: StoredGrant | null;
  readonly target: Device | null;
  /** RFC 7638 thumbprint of the key that they have proved to have. */
  readonly keyThumbprint: string;
  /** What the grant must allow, where that is not for the device to ask. */
  readonly scope?: string;
}

/**
 * Requires that a caller may use a grant of theirs on a device. Policy is asked again.
 * INVARIANT: writes nothing but refusals; what is allowed is written by `bindKey` and `decision`.
 * @throws not-found; not-permitted, recorded; invalid-request for a device that the grant is not for; conflict when the
 *   grant is not in force, the device is out, or the grant is bound to another key (then its holder is told).
 */
export async function requireUse(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  { stored, target, keyThumbprint, scope }: Use,
): Promise<UsableGrant> {
  const seen = await requireOwnGrant(context, tx, journal, caller, stored, 'mint');
  const { grant: any, tenant, keyThumbprint: fixedKey, duration, now } = seen;
  if (!target || !any.devices.includes(target.id)) throw invalid('/device', 'the grant is not for this device');
  if (scope !== undefined && !any.scopes.includes(scope)) {
    const message = `the grant does not allow \`${scope}\``;
    throw refuseOnGrant(journal, seen, 'mint', { policy: 'scope-missing', message, remedy: null });
  }
  const profile = context.policy().profiles.get(any.profile);
  if (!profile) throw new LatchkeyError('not-permitted', `the profile \`${any.profile}\` is no longer offered`);

  const wish = { duration };
  const [decision] = await decideUse(context, tx, caller, { action: 'mint', profile, devices: [target], wish, now });
  const recorded = journal.decision(decision!, caller.id);
  if (!decision!.allowed) {
    journal.fact(now, any.tenant, {
      type: 'request.refused',
      action: 'mint',
      subject: any.id,
      profile: any.profile,
      devices: [target.id],
      decisions: [recorded],
    });
    throw new RecordedRefusal(refusedByPolicy(decision!));
  }
  const grant = requireActive(any);
  if (target.unenrolledAt) throw new LatchkeyError('conflict', `the device \`${target.id}\` is no longer enrolled`);
  if (fixedKey !== null && fixedKey !== keyThumbprint) {
    journal.notice(now, { person: caller.id }, 'another-key-refused', any.id);
    throw new LatchkeyError('conflict', 'the grant is bound to another key by its first use');
  }
  return {
    grant,
    tenant,
    device: target,
    now,
    decision: () => journal.text(canonicalJson(recorded), caller.id),
    bindKey() {
      if (fixedKey === null) fixKey(tx, any.id, keyThumbprint);
    },
  };
}
