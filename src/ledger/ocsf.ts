import manifest from '../../package.json' with { type: 'json' };
import type { LedgerEvent } from './events.ts';
import { classify, severities, type ClassUid } from './ocsf-classes.ts';
import { ocsfDetails, type GrantSubject } from './ocsf-details.ts';

export { grantToLookUp, type GrantSubject } from './ocsf-details.ts';

/** The version of the schema (https://schema.ocsf.io) that the events are written in. */
export const ocsfVersion = '1.5.0';

/** An event in the Open Cybersecurity Schema Framework: what every class requires, and what its own adds. */
export interface OcsfEvent {
  readonly class_uid: ClassUid;
  readonly class_name: string;
  readonly category_uid: number;
  readonly category_name: string;
  readonly activity_id: number;
  readonly activity_name: string;
  /** `class_uid` × 100 + `activity_id`. */
  readonly type_uid: number;
  readonly type_name: string;
  readonly severity_id: number;
  readonly severity: string;
  readonly status_id: number;
  readonly status: string;
  /** Milliseconds since the epoch, by the database's clock. */
  readonly time: number;
  readonly message: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly actor: Readonly<Record<string, unknown>>;
  readonly unmapped: Readonly<Record<string, unknown>>;
  readonly [attribute: string]: unknown;
}

/**
 * An entry of the ledger as an OCSF event: 3005 User Access Management for what gives and takes access, 3003 Authorize
 * Session for sessions at devices, 6003 API Activity for all else. `metadata.uid` is the event's id, by which a repeat
 * is known, and `metadata.sequence` its position. People appear by id, as in the ledger.
 * @param grant whom and what the grant is for that `grantToLookUp` names; null when that is not known.
 */
export function toOcsf(index: number, event: LedgerEvent, grant: GrantSubject | null = null): OcsfEvent {
  const { class: of, activity, severity, failed } = classify(event);
  const activityName = of.activities[activity] ?? event.type;
  const status = failed ? ([2, 'Failure'] as const) : ([1, 'Success'] as const);
  return {
    class_uid: of.uid,
    class_name: of.name,
    category_uid: of.category.uid,
    category_name: of.category.name,
    activity_id: activity,
    activity_name: activityName,
    type_uid: of.uid * 100 + activity,
    type_name: `${of.name}: ${activityName}`,
    severity_id: severity,
    severity: severities[severity],
    status_id: status[0],
    status: status[1],
    time: Date.parse(event.at),
    message: event.type,
    metadata: {
      version: ocsfVersion,
      product: { name: 'Latchkey', vendor_name: 'Latchkey', version: manifest.version },
      uid: event.id,
      sequence: index,
      event_code: event.type,
      log_name: 'ledger',
      original_time: event.at,
      ...(event.tenant !== null && { tenant_uid: event.tenant }),
    },
    ...ocsfDetails(of.uid, event, grant),
  };
}
