import type { DeviceId, GrantId, PersonId, RequestId } from '../domain/ids.ts';
import type { GrantState } from '../domain/grant.ts';
import type { RequestState } from '../domain/request.ts';

// What the API answers, as contract §3 to §5 write it: the fields that the command line reads.

export interface Person {
  readonly id: PersonId;
  /** Null once erased. */
  readonly name: string | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

export interface Me {
  readonly id: PersonId;
  readonly name: string | null;
  readonly teams: readonly string[];
  readonly employer: string | null;
  readonly region: string | null;
  readonly trainingValidUntil: string | null;
}

export interface SignInProvider {
  readonly issuer: string;
  readonly audience: string;
  /** Null where the broker's configuration names no client for the command line. */
  readonly clientId: string | null;
  /** What to ask the provider for, where its default will not do. */
  readonly scope?: string;
}

export interface Stage {
  readonly name: string;
  readonly from: readonly string[];
  readonly needs: number;
}

export interface Profile {
  readonly name: string;
  readonly title: string;
  readonly scopes: readonly string[];
  readonly dataClasses: readonly string[];
  readonly stages: readonly Stage[];
  readonly longest: string;
}

export interface Device {
  readonly id: DeviceId;
  readonly tenant: unknown;
  readonly name: string | null;
  readonly state: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly door: { readonly url: string; readonly certificateSha256?: string | null } | null;
  readonly inUse: boolean;
  readonly lastSeenAt: string | null;
}

export interface Narrow {
  readonly duration?: string;
  readonly scopes?: readonly string[];
  readonly devices?: readonly string[];
}

export interface Decision {
  readonly by: Person;
  readonly verdict: 'approve' | 'deny';
  readonly stage: string;
  readonly comment: string | null;
  readonly narrow: Narrow | null;
  readonly at: string;
}

export interface AccessRequest {
  readonly id: RequestId;
  readonly state: RequestState;
  readonly profile: string;
  readonly tenant: string;
  readonly devices: readonly DeviceId[];
  readonly duration: string;
  readonly scopes: readonly string[];
  readonly dataClasses: readonly string[];
  readonly reason: string | null;
  readonly ticket: string | null;
  readonly requester: Person;
  readonly createdAt: string;
  readonly startsAt: string | null;
  readonly lapsesAt: string;
  readonly extends: GrantId | null;
  readonly stages: readonly (Stage & { readonly approvedBy: readonly unknown[] })[];
  readonly decisions: readonly Decision[];
  readonly grant: Grant | null;
}

export interface Review {
  readonly state: 'due' | 'overdue' | 'done';
  readonly dueAt: string;
  readonly by: Person | null;
  readonly verdict: string | null;
}

export interface Grant {
  readonly id: GrantId;
  readonly request: RequestId;
  readonly state: GrantState;
  readonly person: Person;
  readonly tenant: string;
  readonly profile: string;
  readonly devices: readonly DeviceId[];
  readonly scopes: readonly string[];
  readonly startsAt: string;
  readonly expiresAt: string;
  readonly endedAt: string | null;
  /** A person; null where the clock or policy ended it. */
  readonly endedBy: Partial<Person> | null;
  readonly endReason: string | null;
  readonly review: Review | null;
  /** Of the sessions that devices have told of: not yet called ended, and called ended. Absent from brokers that do not say. */
  readonly sessions?: { readonly open: number; readonly confirmed: number };
}

export interface Minted {
  readonly credential: string;
  readonly expiresAt: string;
  /** Base64 goes to the agent, this is the text itself; absent from brokers that keep no tree yet. */
  readonly receipt?: string;
}

export interface Alarm {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  /** The grant that it is over, where that is not what it is about. */
  readonly grant?: string | null;
  readonly since: string;
  readonly closedAt: string | null;
}

export interface Notice {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly at: string;
  readonly text: string;
}
