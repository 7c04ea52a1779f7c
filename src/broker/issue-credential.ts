import { credentialClaims, signCredential } from '../credentials/credential.ts';
import { LatchkeyError, invalid } from '../domain/errors.ts';
import { requireActive } from '../domain/grant.ts';
import { newId, type DeviceId, type EventId, type GrantId } from '../domain/ids.ts';
import { canonicalJson, leafBytes } from '../ledger/canonical.ts';
import { insertCredential, useProof } from '../store/credentials.ts';
import { findDevice, type Device } from '../store/devices.ts';
import { fixKey } from '../store/grant-changes.ts';
import { lockGrant, type StoredGrant } from '../store/grants.ts';
import type { Tx } from '../store/transaction.ts';
import { RecordedRefusal, refusedByPolicy } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import { requireOwnGrant } from './own-grant.ts';
import type { Journal } from './journal.ts';
import { decideUse } from './request-access.ts';

/** A DPoP proof that was verified but for being used before. */
export interface Proof {
  /** RFC 7638 thumbprint of the holder's key. */
  readonly jkt: string;
  readonly replayKey: string;
  /** When it is refused for its age anyway. */
  readonly expiresAt: Date;
}

/** A credential and the event by which its receipt is to be had; plain JSON, since it may be kept as an answer. */
export interface IssuedCredential {
  readonly credential: string;
  readonly expiresAt: string;
  readonly event: EventId;
  /** base64 of the very bytes of the event. */
  readonly leaf: string;
}

/**
 * Issues a credential for one device of an active grant to its holder, bound to the key of the proof. The first one
 * fixes the grant's key. Policy is asked again.
 * @throws invalid-dpop-proof when the proof was used before; not-found; not-permitted, recorded; conflict when the
 *   grant is not in force, or bound to another key (then its holder is told).
 */
export async function issueCredential(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  id: GrantId,
  device: DeviceId,
  proof: Proof,
): Promise<IssuedCredential> {
  context.ledger.requireRoom();
  const [stored, target, unused] = await Promise.all([
    lockGrant(tx, id),
    findDevice(tx, device),
    useProof(tx, proof.replayKey, proof.expiresAt),
  ]);
  if (!unused) throw new LatchkeyError('invalid-dpop-proof', 'the proof was used before');
  try {
    return await issue(context, tx, journal, caller, stored, target, proof.jkt);
  } catch (error) {
    // Whatever comes of the call, its proof is used up: a refusal is committed with it.
    throw error instanceof LatchkeyError ? new RecordedRefusal(error) : error;
  }
}

/** INVARIANT: writes nothing before its last refusal, since refusals are committed. */
async function issue(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  stored: StoredGrant | null,
  target: Device | null,
  keyThumbprint: string,
): Promise<IssuedCredential> {
  const {
    grant: any,
    tenant,
    keyThumbprint: fixedKey,
    duration,
    now,
  } = await requireOwnGrant(context, tx, journal, caller, stored, 'mint');
  const { id } = any;
  if (!target || !any.devices.includes(target.id)) throw invalid('/device', 'the grant is not for this device');
  const device = target.id;
  const profile = context.policy().profiles.get(any.profile);
  if (!profile) throw new LatchkeyError('not-permitted', `the profile \`${any.profile}\` is no longer offered`);

  const wish = { duration };
  const [decision] = await decideUse(context, tx, caller, { action: 'mint', profile, devices: [target], wish, now });
  const recorded = journal.decision(decision!, caller.id);
  if (!decision!.allowed) {
    journal.fact(now, any.tenant, {
      type: 'request.refused',
      action: 'mint',
      subject: id,
      profile: any.profile,
      devices: [device],
      decisions: [recorded],
    });
    throw new RecordedRefusal(refusedByPolicy(decision!));
  }
  const grant = requireActive(any);
  if (target.unenrolledAt) throw new LatchkeyError('conflict', `the device \`${device}\` is no longer enrolled`);
  if (fixedKey !== null && fixedKey !== keyThumbprint) {
    journal.notice(now, { person: caller.id }, 'another-key-refused', id);
    throw new LatchkeyError('conflict', 'the grant is bound to another key by its first credential');
  }
  const claims = credentialClaims({
    issuer: context.issuer,
    id: newId('credential', now.getTime()),
    person: caller.id,
    device,
    tenant: tenant.id,
    grant: id,
    scopes: grant.scopes,
    keyThumbprint,
    expiresAt: grant.expiresAt,
    now,
  });
  if (!claims) throw new LatchkeyError('conflict', 'the grant ends within the second');
  if (fixedKey === null) fixKey(tx, id, keyThumbprint);
  // Signing waits for nothing outside, so the row may stay locked; the signature leaves only after the commit.
  const { jwt, hash } = await signCredential(context.keys.credential.signing(), claims);
  const expiresAt = new Date(claims.exp * 1000);
  insertCredential(tx, {
    id: claims.jti,
    grant: id,
    device,
    person: caller.id,
    hash,
    issuedAt: new Date(claims.iat * 1000),
    expiresAt,
  });
  const event = journal.fact(now, tenant.id, {
    type: 'credential.issued',
    credential: hash.toString('base64url'),
    jti: claims.jti,
    grant: id,
    device,
    person: caller.id,
    scopes: grant.scopes,
    iat: claims.iat,
    nbf: claims.nbf,
    exp: claims.exp,
    decision: journal.text(canonicalJson(recorded), caller.id),
  });
  const leaf = leafBytes(event).toString('base64');
  return { credential: jwt, expiresAt: expiresAt.toISOString(), event: event.id, leaf };
}
