import { credentialClaims, signCredential } from '../credentials/credential.ts';
import { LatchkeyError } from '../domain/errors.ts';
import { newId, type DeviceId, type EventId, type GrantId } from '../domain/ids.ts';
import { leafBytes } from '../ledger/canonical.ts';
import { insertCredential, useProof } from '../store/credentials.ts';
import { findDevice, type Device } from '../store/devices.ts';
import { lockGrant, type StoredGrant } from '../store/grants.ts';
import type { Tx } from '../store/transaction.ts';
import { RecordedRefusal } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import type { Journal } from './journal.ts';
import { requireUse } from './use-grant.ts';

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
  const usable = await requireUse(context, tx, journal, caller, { stored, target, keyThumbprint });
  const { grant, tenant, now } = usable;
  const [id, device] = [grant.id, usable.device.id];
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
  usable.bindKey();
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
    decision: usable.decision(),
  });
  const leaf = leafBytes(event).toString('base64');
  return { credential: jwt, expiresAt: expiresAt.toISOString(), event: event.id, leaf };
}
