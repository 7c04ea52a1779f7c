import type {
  AlarmId,
  CredentialId,
  DeviceId,
  EventId,
  GrantId,
  PersonId,
  RequestId,
  SessionId,
  TenantId,
} from '../domain/ids.ts';
import { newId } from '../domain/ids.ts';
import type { ReviewVerdict } from '../domain/grant.ts';
import type { localAdmin } from '../domain/local-admin.ts';

/** base64url SHA-256 over a fresh 128-bit salt and a text that lies beside the ledger, erasable. */
export type Commitment = string & { readonly __commitment: true };

/** A decision of policy: the bundle it was made under, which policies decided, and a commitment to its inputs. */
export interface DecisionRecord {
  readonly policy: string;
  readonly policies: readonly string[];
  readonly inputs: Commitment;
}

/** Why a key was rotated: by its age, because an operator said so, or because the one before it leaked. */
export const rotationCauses = ['age', 'operator', 'compromised', 'recovered'] as const;
export type RotationCause = (typeof rotationCauses)[number];

interface GrantTerms {
  readonly grant: GrantId;
  readonly request: RequestId;
  readonly person: PersonId;
  readonly profile: string;
  readonly devices: readonly DeviceId[];
  readonly scopes: readonly string[];
  readonly startsAt: string;
  readonly expiresAt: string;
}

/**
 * Every fact that the ledger knows, one arm each. There is no field for a secret and none for a name: people appear by
 * id, free text as a commitment. Times are RFC 3339 UTC with milliseconds, durations whole seconds.
 */
export type Fact =
  | {
      readonly type: 'request.submitted';
      readonly request: RequestId;
      readonly profile: string;
      readonly devices: readonly DeviceId[];
      readonly scopes: readonly string[];
      readonly dataClasses: readonly string[];
      readonly duration: number;
      readonly stages: readonly { readonly name: string; readonly from: readonly string[]; readonly needs: number }[];
      readonly startsAt: string | null;
      readonly lapsesAt: string;
      readonly extends: GrantId | null;
      readonly reason: Commitment;
      readonly ticket: Commitment | null;
      readonly decisions: readonly DecisionRecord[];
    }
  | {
      readonly type: 'request.refused';
      readonly action: string;
      readonly subject: string | null;
      readonly profile: string | null;
      readonly devices: readonly DeviceId[];
      readonly decisions: readonly DecisionRecord[];
    }
  | {
      readonly type: 'request.approved' | 'request.denied';
      readonly request: RequestId;
      readonly stage: string;
      readonly comment: Commitment | null;
      readonly narrow: Readonly<Record<string, unknown>> | null;
      readonly decision: DecisionRecord;
    }
  | { readonly type: 'request.cancelled' | 'request.lapsed'; readonly request: RequestId }
  | ({ readonly type: 'grant.scheduled' } & GrantTerms)
  | ({ readonly type: 'grant.started'; readonly decisions: readonly DecisionRecord[] } & GrantTerms)
  | {
      readonly type: 'grant.extended';
      readonly grant: GrantId;
      readonly request: RequestId;
      readonly from: string;
      readonly to: string;
    }
  | { readonly type: 'grant.expired'; readonly grant: GrantId; readonly expiresAt: string }
  | {
      readonly type: 'grant.revoked';
      readonly grant: GrantId;
      readonly reason: Commitment | null;
      /** Why, when the broker itself revoked: one of a closed set, never a person's words. */
      readonly cause: 'person' | 'policy' | 'devices-gone';
      readonly decision: DecisionRecord | null;
    }
  | { readonly type: 'grant.released'; readonly grant: GrantId }
  | {
      readonly type: 'credential.issued';
      /** base64url SHA-256 of the credential's text. */
      readonly credential: string;
      readonly jti: CredentialId;
      readonly grant: GrantId;
      readonly device: DeviceId;
      readonly person: PersonId;
      readonly scopes: readonly string[];
      /** Seconds since the epoch, as in the credential. */
      readonly iat: number;
      readonly nbf: number;
      readonly exp: number;
      /** To the decision as JSON: a receipt carries this event and has no room for more. */
      readonly decision: Commitment;
    }
  | {
      readonly type: 'session.started' | 'session.refused' | 'session.ended' | 'action.performed';
      readonly device: DeviceId;
      readonly session: SessionId | null;
      readonly grant: GrantId | null;
      /** The device's own signed statement, whole. */
      readonly statement: string;
    }
  /** A new password lies in the vault, and the device may have it from now on. */
  | {
      readonly type: 'secret.prepared';
      readonly device: DeviceId;
      readonly secret: typeof localAdmin;
      readonly generation: number;
      /** To the password; the salt travels with it to the device, and nobody else learns of either. */
      readonly commitment: Commitment;
    }
  | {
      readonly type: 'secret.released';
      readonly grant: GrantId;
      readonly device: DeviceId;
      readonly person: PersonId;
      readonly secret: typeof localAdmin;
      /** All those that the device may have: one, unless it was setting another. */
      readonly generations: readonly number[];
      readonly decision: Commitment;
    }
  | {
      readonly type: 'secret.rotated';
      readonly device: DeviceId;
      readonly secret: typeof localAdmin;
      readonly generation: number;
      /** The device's own signed statement, whole. */
      readonly statement: string;
    }
  | { readonly type: 'device.enrolled'; readonly device: DeviceId; readonly enrolledBy: PersonId }
  | { readonly type: 'device.unenrolled'; readonly device: DeviceId; readonly erased: boolean }
  | { readonly type: 'tenant.changed'; readonly slug: string; readonly change: 'made' | 'renamed' }
  | { readonly type: 'enrolment-code.made'; readonly expiresAt: string }
  | { readonly type: 'person.linked'; readonly person: PersonId; readonly other: PersonId }
  /** Names, addresses and texts are gone; the id, which all that happened is told by, stays. */
  | { readonly type: 'person.erased'; readonly person: PersonId }
  | { readonly type: 'policy.loaded'; readonly policy: string }
  | {
      readonly type: 'key.rotated';
      readonly key: 'credential' | 'statement' | 'ledger';
      /** The id of the key in the JWKS; of the ledger's, its verifier key. */
      readonly from: string;
      readonly to: string;
      readonly cause: RotationCause;
      /** Keys that were taken out of use at once, because they leaked. */
      readonly withdrawn: readonly string[];
      /** Of the ledger's key: from then on, what `from` alone has signed counts no more. */
      readonly until?: string;
      /** Of one that was recovered: what the recovery key has signed, whole. */
      readonly statement?: string;
    }
  | {
      readonly type: 'review.completed';
      readonly grant: GrantId;
      readonly verdict: ReviewVerdict;
      readonly comment: Commitment | null;
      readonly decision: DecisionRecord;
    }
  | { readonly type: 'alarm.raised'; readonly alarm: AlarmId; readonly kind: string; readonly subject: string }
  | { readonly type: 'alarm.closed'; readonly alarm: AlarmId }
  /** An operator took the database as it was: `from` entries had been signed, and `to` of them were left. */
  | { readonly type: 'ledger.rollback-accepted'; readonly from: number; readonly to: number };

export type Actor =
  | { readonly kind: 'person'; readonly id: PersonId }
  | { readonly kind: 'device'; readonly id: DeviceId }
  | { readonly kind: 'broker'; readonly id: 'broker' };

export const broker: Actor = { kind: 'broker', id: 'broker' };

export type LedgerEvent = Fact & {
  readonly v: 1;
  readonly id: EventId;
  readonly at: string;
  readonly region: string;
  readonly tenant: TenantId | null;
  readonly actor: Actor;
};

/** Makes the event of a fact. `at` is when it became true by the database's clock. */
export function eventOf(
  fact: Fact,
  about: { readonly at: Date; readonly region: string; readonly tenant: TenantId | null; readonly actor: Actor },
): LedgerEvent {
  return { v: 1, id: newId('event', about.at.getTime()), ...about, at: about.at.toISOString(), ...fact };
}
