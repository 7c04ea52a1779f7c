import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../domain/ids.ts';
import type { Profile } from '../domain/profile.ts';
import type { Reason } from '../domain/errors.ts';

/** What is known of someone, from the token of a configured provider. Null and empty satisfy no rule. */
export interface PersonFacts {
  readonly id: PersonId;
  readonly teams: readonly string[];
  readonly employer: string | null;
  readonly region: string | null;
  /** RFC 3339. */
  readonly trainingValidUntil: string | null;
}

export interface TenantFacts {
  readonly id: TenantId;
  readonly slug: string;
  readonly region: string;
}

export interface DeviceFacts {
  readonly id: DeviceId;
  readonly tenant: TenantFacts;
  /** What the agent said of the device: serial, make, model, hostname and whatever else. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly inUse: boolean;
}

/** May this person have this profile on this device for so long: asked when they ask, at each start and each mint. */
export interface UseQuestion {
  readonly action: 'request' | 'start' | 'mint' | 'extend';
  readonly person: PersonFacts;
  readonly profile: Profile;
  readonly device: DeviceFacts;
  /** Whole seconds: for `request` and `extend` the duration asked for. */
  readonly duration: number;
  /** For `extend`: how long the grant would live in all, in seconds. Otherwise equal to `duration`. */
  readonly total: number;
  /** True when the person has a break-glass grant whose review is overdue. */
  readonly reviewOverdue: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** May this person decide this stage of a request. */
export interface DecideQuestion {
  readonly action: 'decide';
  readonly person: PersonFacts;
  readonly request: RequestId;
  readonly tenant: TenantFacts;
  readonly profile: string;
  /** `from` with the tenant's slug already put in. */
  readonly stage: { readonly name: string; readonly from: readonly string[] };
  /** True when the person and the requester count as one human. */
  readonly isRequester: boolean;
  /** True when this human has already approved another stage of the request. */
  readonly decidedOtherStage: boolean;
  readonly now: number;
}

/** May this person do this to a grant (or, for `cancel`, to a request). */
export interface GrantQuestion {
  readonly action: 'revoke' | 'review' | 'release' | 'cancel';
  readonly person: PersonFacts;
  readonly subject: GrantId | RequestId;
  readonly tenant: TenantFacts;
  readonly profile: string;
  /** The very person, not an alias. */
  readonly isHolder: boolean;
  /** The holder or any alias of the holder's. */
  readonly isSameHuman: boolean;
  readonly now: number;
}

/** May this person administer: tenants, enrolment codes, devices. `tenant` is null when no tenant is meant yet. */
export interface AdministerQuestion {
  readonly action: 'manage-tenants' | 'enrol-devices' | 'unenrol-devices';
  readonly person: PersonFacts;
  readonly tenant: TenantFacts | null;
  readonly now: number;
}

export type Question = UseQuestion | DecideQuestion | GrantQuestion | AdministerQuestion;

/** The kinds of thing whose reading policy decides as a whole, so that lists can be filtered in SQL. */
export const readables = ['requests', 'grants', 'devices', 'tenants', 'alarms', 'ledger'] as const;
export type Readable = (typeof readables)[number];

/** What of a kind someone may see: everything, or what belongs to these tenants (by slug), or their own. */
export interface Visibility {
  readonly all: boolean;
  readonly tenants: readonly string[];
  /** Whether this person is of those who have requests and grants of their own. */
  readonly own: boolean;
}

/** The answer, with all that is needed to explain and to re-decide it. */
export interface Decision {
  readonly allowed: boolean;
  /** The ids of the policies that decided: the permits of a yes, the forbids of a no; empty for a default deny. */
  readonly policies: readonly string[];
  /** For a no: never empty. A default deny is `no-policy-permits`; an evaluation error is a no. */
  readonly reasons: readonly Reason[];
  /** `sha256:` and the hex digest of the bundle. */
  readonly digest: string;
  /** The very inputs given to the policy engine, as plain JSON. */
  readonly inputs: unknown;
}
