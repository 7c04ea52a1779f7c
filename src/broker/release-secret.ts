import type { Password } from '../credentials/password.ts';
import { sealToKey, type RecipientKey } from '../credentials/seal-to-key.ts';
import { invalid, LatchkeyError } from '../domain/errors.ts';
import { requireActive } from '../domain/grant.ts';
import type { DeviceId, EventId, GrantId } from '../domain/ids.ts';
import { localAdmin, localAdminScope } from '../domain/local-admin.ts';
import { releasedSecretType } from '../domain/secret-request.ts';
import { leafBytes } from '../ledger/canonical.ts';
import { useProof } from '../store/credentials.ts';
import {
  demandAfter,
  findRelease,
  findSecret,
  insertRelease,
  lockSecret,
  type DeviceSecret,
  type Generation,
  type Release,
} from '../store/device-secrets.ts';
import { findDevice } from '../store/devices.ts';
import { findGrant, lockGrant } from '../store/grants.ts';
import { raiseLiveVersions } from '../store/live-grants.ts';
import { databaseNow, type Tx } from '../store/transaction.ts';
import { RecordedRefusal, runCommand, type Idempotency } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import type { Proof } from './issue-credential.ts';
import type { Journal } from './journal.ts';
import { requireUse } from './use-grant.ts';

/** How long after a release the device is asked for another password at the latest, in seconds. */
export const longestUse = 3_600;
/** How long the same one-time key may fetch again, in case the answer was lost, in seconds. */
const fetchAgainWithin = 60;
/** How often what was read may turn out to be old before somebody else is believed to be faster. */
const tries = 5;

/** Who asks for the password of a device, with a proof that was verified but for being used before. */
export interface SecretWish {
  readonly grant: GrantId;
  readonly device: DeviceId;
  readonly proof: Proof & { readonly oneTimeKey: RecipientKey & { readonly jkt: string } };
}

/** What its holder gets. */
export interface ReleasedSecret {
  /** A compact JWE to the one-time key. */
  readonly secret: string;
  readonly receipt: string;
  readonly rotatesBy: Date;
}

/** What was recorded of a release; plain JSON, since it may be kept as an answer. */
interface Recorded {
  readonly event: EventId;
  /** base64 of the very bytes of the event. */
  readonly leaf: string;
  readonly generations: readonly number[];
  readonly releasedAt: string;
}

/** Passwords as the vault had them, by generation, and of which state of the database they are all there are. */
interface Fetched {
  /** False for whoever would not get them. */
  readonly asked: boolean;
  readonly state: string;
  readonly passwords: ReadonlyMap<number, Password>;
}

/**
 * Gives the local administrator's password of a device to the holder of a grant that allows it, once; encrypted to a
 * one-time key, so that nobody on the way can read it. The vault is asked first, for those who would get it; then the
 * release is recorded; and the password leaves once a checkpoint covers the record and the grant is still in force.
 * Policy is asked again.
 * @throws what `issueCredential` does; not-permitted when the grant does not allow it; conflict when the device has no
 *   password yet, or it was fetched before; unavailable when the vault cannot be asked: then nothing is recorded.
 */
export async function releaseSecret(
  context: BrokerContext,
  caller: Caller,
  wish: SecretWish,
  idempotency: Idempotency | null,
): Promise<ReleasedSecret> {
  const actor = { kind: 'person', id: caller.id } as const;
  for (let attempt = 1; ; attempt++) {
    const fetched = await fetchFor(context, caller, wish);
    try {
      const recorded = await runCommand(context, { actor, idempotency }, (tx, journal) =>
        record(context, tx, journal, caller, wish, fetched),
      );
      return await handOut(context, wish, recorded, fetched);
    } catch (error) {
      if (!(error instanceof Outdated) || attempt === tries) throw error;
    }
  }
}

/** What was read before the grant was locked is not what there is any more: nothing is recorded. */
class Outdated extends LatchkeyError {
  constructor() {
    super('unavailable', 'the password is being changed at this moment', { retryAfter: 1 });
  }
}

/** Reads the passwords for whoever would get them, and for nobody else: strangers cause no call to the vault. */
async function fetchFor(
  context: BrokerContext,
  caller: Caller,
  { grant, device, proof }: SecretWish,
): Promise<Fetched> {
  const [stored, secret, earlier] = await Promise.all([
    findGrant(context.pool, grant),
    findSecret(context.pool, device),
    findRelease(context.pool, grant, device),
  ]);
  const state = stateOf(secret);
  const nothing = { asked: false, state, passwords: new Map<number, Password>() };
  if (!stored || !secret || stored.grant.person !== caller.id || stored.grant.state !== 'active') return nothing;
  if (!stored.grant.devices.includes(device) || !stored.grant.scopes.includes(localAdminScope)) return nothing;
  if (earlier && earlier.oneTimeKey !== proof.oneTimeKey.jkt) return nothing;
  const passwords = new Map<number, Password>();
  for (const { generation, version } of candidates(secret)) {
    const password = await context.secrets.read(device, version);
    if (password) passwords.set(generation, password);
  }
  if (passwords.size === 0 && secret.confirmed > 0) await demandAnother(context, secret);
  return { asked: true, state, passwords };
}

/** All that the device may have: the one it has confirmed, and those that were made for it since. */
function candidates({ confirmed, generations }: DeviceSecret): readonly Generation[] {
  return confirmed === 0 ? [] : generations.filter(({ generation }) => generation >= confirmed);
}

function stateOf(secret: DeviceSecret | null): string {
  return secret
    ? candidates(secret)
        .map(({ generation, version }) => `${generation} ${version}`)
        .join()
    : '';
}

/** Somebody took the password out of the vault: the device is to set another. */
async function demandAnother(context: BrokerContext, { device, wanted }: DeviceSecret): Promise<void> {
  await runCommand(context, { actor: { kind: 'broker', id: 'broker' } }, async (tx, journal) => {
    const demanded = await demandAfter(tx, [{ device, generation: wanted }]);
    raiseLiveVersions(tx, demanded);
    journal.afterCommit(() => context.hints.devicesChanged(demanded));
  });
}

async function record(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  wish: SecretWish,
  fetched: Fetched,
): Promise<Recorded> {
  context.ledger.requireRoom();
  const { replayKey, expiresAt } = wish.proof;
  const [stored, target, unused] = await Promise.all([
    lockGrant(tx, wish.grant),
    findDevice(tx, wish.device),
    useProof(tx, replayKey, expiresAt),
  ]);
  try {
    if (!unused) throw invalid('/proof', 'the proof was used before');
    const keyThumbprint = wish.proof.jkt;
    const use = { stored, target, keyThumbprint, scope: localAdminScope };
    const usable = await requireUse(context, tx, journal, caller, use);
    const earlier = await findRelease(tx, usable.grant.id, usable.device.id);
    if (earlier) return again(earlier, wish, usable.now, fetched);

    const secret = await lockSecret(tx, usable.device.id);
    if (!secret || secret.confirmed === 0) throw new LatchkeyError('conflict', 'the device has not set a password yet');
    if (!fetched.asked || stateOf(secret) !== fetched.state) throw new Outdated();
    const generations = [...fetched.passwords.keys()];
    if (generations.length === 0) {
      throw new LatchkeyError('conflict', 'the vault has lost the password: the device is asked to set another');
    }
    usable.bindKey();
    const event = journal.fact(usable.now, usable.grant.tenant, {
      type: 'secret.released',
      grant: usable.grant.id,
      device: usable.device.id,
      person: caller.id,
      secret: localAdmin,
      generations,
      decision: usable.decision(),
    });
    const release = {
      grant: usable.grant.id,
      device: usable.device.id,
      generations,
      oneTimeKey: wish.proof.oneTimeKey.jkt,
      releasedAt: usable.now,
      event: event.id,
      leaf: leafBytes(event),
    };
    insertRelease(tx, release);
    return recordedOf(release);
  } catch (error) {
    // Whatever comes of the call, its proof is used up: a refusal is committed with it. What is to be tried again is not.
    const isRefusal = error instanceof LatchkeyError && !(error instanceof Outdated);
    throw isRefusal ? new RecordedRefusal(error) : error;
  }
}

/** The answer may have been lost: the same passwords, to the same key, for a moment. Nothing is recorded anew. */
function again(earlier: Release, { proof }: SecretWish, now: Date, { passwords }: Fetched): Recorded {
  if (earlier.oneTimeKey !== proof.oneTimeKey.jkt) {
    throw new LatchkeyError('conflict', 'the password was fetched before: ask for a new grant to get the next one');
  }
  requireSoonAfter(earlier.releasedAt, now);
  requireAll(earlier.generations, passwords);
  return recordedOf(earlier);
}

function requireAll(generations: readonly number[], passwords: Fetched['passwords']): void {
  if (generations.every((generation) => passwords.has(generation))) return;
  throw new LatchkeyError('conflict', 'the device has set another password since');
}

function requireSoonAfter(releasedAt: Date, now: Date): void {
  if (now.getTime() - releasedAt.getTime() <= fetchAgainWithin * 1_000) return;
  throw new LatchkeyError('conflict', `the password was fetched more than ${fetchAgainWithin} s ago`);
}

function recordedOf({ event, leaf, generations, releasedAt }: Release): Recorded {
  return { event, leaf: leaf.toString('base64'), generations, releasedAt: releasedAt.toISOString() };
}

/** If we stop before this has answered, the release is in the ledger and nobody has the password; the key may ask again. */
async function handOut(
  context: BrokerContext,
  { grant: id, device, proof }: SecretWish,
  recorded: Recorded,
  { passwords }: Fetched,
): Promise<ReleasedSecret> {
  const releasedAt = new Date(recorded.releasedAt);
  // INVARIANT: no password leaves before its release is known to be in the ledger.
  const receipt = await context.ledger.receiptFor(recorded.event, Buffer.from(recorded.leaf, 'base64'));
  const [stored, now] = await Promise.all([findGrant(context.pool, id), databaseNow(context.pool)]);
  const grant = requireActive(stored!.grant);
  // A kept answer may be asked for much later.
  requireSoonAfter(releasedAt, now);
  requireAll(recorded.generations, passwords);
  const newestFirst = recorded.generations.toSorted((a, b) => b - a);
  const text = JSON.stringify({
    grant: id,
    device,
    secret: localAdmin,
    passwords: newestFirst.map((generation) => ({ generation, password: passwords.get(generation)!.reveal() })),
  });
  return {
    secret: await sealToKey(proof.oneTimeKey, releasedSecretType, text),
    receipt,
    rotatesBy: new Date(Math.min(releasedAt.getTime() + longestUse * 1_000, grant.expiresAt.getTime())),
  };
}
