import assert from 'node:assert/strict';
import { mark } from '../../../src/agent/elapsed.ts';
import { createBrokerKeys, type BrokerKeys } from '../../../src/agent/jwks.ts';
import { createLiveGrants, type LiveGrants } from '../../../src/agent/live-grants.ts';
import { Refusal, type RefusalCode } from '../../../src/agent/refusal.ts';
import {
  createVerifier,
  type Presented,
  type Verified,
  type Verifier,
  type VerifierOptions,
} from '../../../src/agent/verify-credential.ts';
import { newId, type GrantId, type PersonId } from '../../../src/domain/ids.ts';
import { makeProof, newSigningKey, signToken, type SigningKey } from './signing-key.ts';
import { startTestBroker, type ListedGrant, type TestBroker } from './test-broker.ts';
import { newTestClock, testStart, type TestClock } from './test-clock.ts';
import type { TestLedger } from './test-ledger.ts';

/** Where the test's door is; the verifier is told, so nothing needs to listen there. */
export const doorUrl = 'http://127.0.0.1:9443';
export const scopes = ['device.inspect', 'device.reboot'];

/** Everything between a credential and a door, real but for the clock: a broker, an engineer, a live grant. */
export interface Doorstep {
  readonly broker: TestBroker;
  readonly clock: TestClock;
  readonly keys: BrokerKeys;
  readonly liveGrants: LiveGrants;
  readonly verifier: Verifier;
  readonly person: PersonId;
  readonly grant: GrantId;
  readonly holder: SigningKey;
  /** The grant as the broker lists it. */
  listed(changes?: Partial<ListedGrant>): ListedGrant;
  /** The claims of a good credential. */
  claims(): Record<string, unknown>;
  credential(parts?: CredentialParts): Promise<string>;
  /** A call with that credential and a good proof, and whatever the test replaces. */
  present(credential: string, changes?: PresentChanges): Promise<Presented>;
  verify(credential: string, changes?: PresentChanges): Promise<Verified>;
  /** Reads the broker's statement as at a fresh connection. */
  connect(): Promise<void>;
  close(): Promise<void>;
}

export interface CredentialParts {
  readonly claims?: Record<string, unknown>;
  readonly header?: object;
  readonly key?: SigningKey;
}

export interface PresentChanges extends Partial<Presented> {
  readonly holder?: SigningKey;
  /** The ledger whose receipt comes with the credential. */
  readonly ledger?: TestLedger;
  readonly proofClaims?: object;
  readonly proofHeader?: object;
}

/** @param demands what the agent's own configuration asks for, and what is otherwise in its enrolment. */
export async function newDoorstep(demands: Partial<VerifierOptions> = {}): Promise<Doorstep> {
  const clock = newTestClock();
  const broker = await startTestBroker(() => clock.now());
  const { device, tenant, url: issuer } = broker;
  const keys = createBrokerKeys({ jwksUri: `${issuer}/.well-known/jwks.json`, clocks: clock });
  const seen = null;
  const liveGrants = createLiveGrants({ issuer, device, keys, seen, remember: async () => undefined, clocks: clock });
  const { vkey: ledgerKey } = broker.ledger;
  const verifier = createVerifier({ issuer, device, tenant, keys, liveGrants, ledgerKey, clocks: clock, ...demands });
  const [person, grant] = [newId('person', testStart), newId('grant', testStart)];
  const holder = await newSigningKey();

  const doorstep: Doorstep = {
    broker,
    clock,
    keys,
    liveGrants,
    verifier,
    person,
    grant,
    holder,
    listed: (changes = {}) => ({
      id: grant,
      person,
      scopes,
      startsAt: new Date(testStart - 60_000).toISOString(),
      expiresAt: new Date(testStart + 1_800_000).toISOString(),
      ...changes,
    }),
    claims() {
      const iat = Math.floor(clock.now() / 1_000);
      return {
        iss: issuer,
        sub: person,
        aud: `urn:latchkey:device:${device}`,
        client_id: 'latchkey',
        jti: newId('credential', clock.now()),
        iat,
        nbf: iat,
        exp: iat + 600,
        scope: scopes.join(' '),
        grant,
        tenant,
        cnf: { jkt: holder.kid },
      };
    },
    credential({ claims = {}, header = {}, key = broker.credentialKey } = {}) {
      return signToken(key, { typ: 'at+jwt', kid: key.kid, ...header }, { ...doorstep.claims(), ...claims });
    },
    async present(credential, made = {}) {
      const { holder: by = holder, ledger = broker.ledger, proofClaims, proofHeader, ...changes } = made;
      const place = { method: 'POST', url: `${doorUrl}/sessions` };
      const wrong = {
        ...(proofClaims === undefined ? {} : { claims: proofClaims }),
        ...(proofHeader === undefined ? {} : { header: proofHeader }),
      };
      const proof = await makeProof(by, { ...place, credential, now: clock.now(), ...wrong });
      const receipt = [await ledger.header(credential)];
      const authorization = [`DPoP ${credential}`];
      return { ...place, authorization, proof: [proof], receipt, scope: null, ...changes };
    },
    async verify(credential, changes) {
      return verifier.verifyCredential(await doorstep.present(credential, changes));
    },
    connect: async () => liveGrants.accept(await broker.statement(), mark(clock)),
    close: () => broker.close(),
  };
  broker.grants = [doorstep.listed()];
  await doorstep.connect();
  return doorstep;
}

/** Requires that the work ends in a refusal with that code. */
export async function refusedWith(code: RefusalCode, work: Promise<unknown>): Promise<Refusal> {
  const outcome = await work.then(
    () => null,
    (error: unknown) => error,
  );
  assert.ok(
    outcome instanceof Refusal,
    `accepted, or failed, what should be refused with \`${code}\`: ${String(outcome)}`,
  );
  assert.equal(outcome.code, code, outcome.message);
  return outcome;
}

/** A credential that is perfect but for its key: for a live grant on this device, now, by someone who made it up. */
export async function forge(at: Doorstep, claims: Record<string, unknown> = {}) {
  const holder = await newSigningKey();
  return { holder, credential: await at.credential({ claims: { cnf: { jkt: holder.kid }, ...claims } }) };
}
