import { unreachable } from '../domain/unreachable.ts';
import type { Commitment, DecisionRecord, LedgerEvent } from './events.ts';

/** The decisions of policy that an event rests on, and what they must have been for it to be true. */
export interface RecordedDecisions {
  /** `all-yes` for what was done, `some-no` for what was refused. */
  readonly answer: 'all-yes' | 'some-no';
  readonly records: readonly DecisionRecord[];
  /** To a record as JSON, where the event had no room for it. */
  readonly committed: readonly Commitment[];
}

/** What policy decided for the event to happen; null for events that policy is not asked about. */
export function recordedDecisions(event: LedgerEvent): RecordedDecisions | null {
  switch (event.type) {
    case 'request.submitted':
    case 'grant.started':
      return { answer: 'all-yes', records: event.decisions, committed: [] };
    case 'request.refused':
      // Without a decision it was refused by a rule that is in no bundle, such as that a grant is its holder's.
      return event.decisions.length > 0 ? { answer: 'some-no', records: event.decisions, committed: [] } : null;
    case 'request.approved':
    case 'request.denied':
    case 'review.completed':
      return { answer: 'all-yes', records: [event.decision], committed: [] };
    case 'grant.revoked': {
      // A scheduled grant that policy no longer allows when it is to begin is revoked for that no.
      const answer = event.cause === 'policy' ? 'some-no' : 'all-yes';
      return event.decision && { answer, records: [event.decision], committed: [] };
    }
    case 'credential.issued':
    case 'secret.released':
      return { answer: 'all-yes', records: [], committed: [event.decision] };
    case 'request.cancelled':
    case 'request.lapsed':
    case 'grant.scheduled':
    case 'grant.extended':
    case 'grant.expired':
    case 'grant.released':
    case 'session.started':
    case 'session.refused':
    case 'session.ended':
    case 'action.performed':
    case 'secret.prepared':
    case 'secret.rotated':
    case 'device.enrolled':
    case 'device.unenrolled':
    case 'tenant.changed':
    case 'enrolment-code.made':
    case 'person.linked':
    case 'person.erased':
    case 'policy.loaded':
    case 'key.rotated':
    case 'ledger.rollback-accepted':
    case 'alarm.raised':
    case 'alarm.closed':
      return null;
    default:
      return unreachable(event);
  }
}

/** A recorded decision that does not come out again as it was recorded. */
export interface ReplayDifference {
  readonly index: number;
  /** Null when the entry itself cannot be read. */
  readonly id: string | null;
  readonly type: string | null;
  readonly problem: string;
  readonly recorded: readonly string[] | null;
  readonly redecided: readonly string[] | null;
}

/** What a replay went through. */
export interface ReplaySummary {
  /** Entries of the ledger, from the first. */
  readonly entries: number;
  /** Decisions that were made again. */
  readonly decisions: number;
  /** Decisions whose inputs are no longer there. */
  readonly erased: number;
  readonly differences: number;
}
