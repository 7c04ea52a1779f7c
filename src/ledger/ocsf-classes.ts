import { unreachable } from '../domain/unreachable.ts';
import type { LedgerEvent } from './events.ts';

export type ClassUid = 3003 | 3005 | 6003;

export interface OcsfClass {
  readonly uid: ClassUid;
  readonly name: string;
  readonly category: { readonly uid: number; readonly name: string };
  readonly activities: Readonly<Record<number, string>>;
}

const identity = { uid: 3, name: 'Identity & Access Management' };
const application = { uid: 6, name: 'Application Activity' };

const userAccess: OcsfClass = {
  uid: 3005,
  name: 'User Access Management',
  category: identity,
  activities: { 1: 'Assign Privileges', 2: 'Revoke Privileges' },
};
const session: OcsfClass = {
  uid: 3003,
  name: 'Authorize Session',
  category: identity,
  activities: { 1: 'Assign Privileges' },
};
const api: OcsfClass = {
  uid: 6003,
  name: 'API Activity',
  category: application,
  activities: { 1: 'Create', 2: 'Read', 3: 'Update', 4: 'Delete' },
};

export const severities = { 1: 'Informational', 2: 'Low', 3: 'Medium', 4: 'High' } as const;

export interface Classified {
  readonly class: OcsfClass;
  /** 99 is what the class has no word for; the type of the event then names it. */
  readonly activity: number;
  readonly severity: keyof typeof severities;
  readonly failed: boolean;
}

const other = 99;

/** Which class of OCSF an event belongs to, and what it says there. */
export function classify(event: LedgerEvent): Classified {
  switch (event.type) {
    case 'grant.started':
    case 'grant.extended':
      return done(userAccess, 1);
    case 'grant.expired':
    case 'grant.released':
      return done(userAccess, 2);
    case 'grant.revoked':
      return done(userAccess, 2, 2);
    case 'grant.scheduled':
      return done(userAccess, other);
    case 'session.started':
      return done(session, 1);
    case 'session.ended':
      return done(session, other);
    case 'session.refused':
      return { ...done(session, other, 3), failed: true };
    case 'request.refused':
      return { ...done(api, other, 2), failed: true };
    case 'request.submitted':
    case 'credential.issued':
    case 'secret.prepared':
    case 'device.enrolled':
    case 'enrolment-code.made':
      return done(api, 1);
    case 'request.approved':
    case 'request.denied':
    case 'request.cancelled':
    case 'request.lapsed':
    case 'review.completed':
    case 'person.linked':
    case 'alarm.closed':
    case 'secret.rotated':
      return done(api, 3);
    case 'tenant.changed':
      return done(api, event.change === 'made' ? 1 : 3);
    case 'device.unenrolled':
    case 'person.erased':
      return done(api, 4, 2);
    case 'secret.released':
      return done(api, 2, 3);
    case 'policy.loaded':
      return done(api, 3, 2);
    case 'key.rotated':
      return done(api, 3, event.withdrawn.length > 0 ? 4 : 2);
    case 'action.performed':
      return done(api, other);
    case 'alarm.raised':
    case 'ledger.rollback-accepted':
      return done(api, other, 4);
    default:
      return unreachable(event);
  }
}

function done(of: OcsfClass, activity: number, severity: Classified['severity'] = 1): Classified {
  return { class: of, activity, severity, failed: false };
}
