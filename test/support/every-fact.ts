import { newId } from '../../src/domain/ids.ts';
import { eventOf, type Commitment, type Fact, type LedgerEvent } from '../../src/ledger/events.ts';

const at = Date.parse('2026-03-01T09:40:00.123Z');
const [person, other, device, request, grant, session, tenant] = [
  newId('person', at),
  newId('person', at + 1),
  newId('device', at),
  newId('request', at),
  newId('grant', at),
  newId('session', at),
  newId('tenant', at),
];

/** The ids in the samples. */
export const sampleIds = { person, other, device, request, grant, session, tenant };

const commitment = 'uYyyDWzZ0yAWTPnMcwYMUOoKXmNtjyV3jLlvZ5vGTYE' as Commitment;
const decision = { policy: `sha256:${'0'.repeat(64)}`, policies: ['leads-decide'], inputs: commitment };
const terms = {
  grant,
  request,
  person,
  profile: 'remediate',
  devices: [device],
  scopes: ['device.inspect', 'usb.reset'],
  startsAt: '2026-03-01T09:40:00.000Z',
  expiresAt: '2026-03-01T10:10:00.000Z',
};

/** A statement as a device makes it, with one claim too many. Nobody here looks at the signature. */
function statement(claims: object): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const said = { iss: device, aud: 'https://latchkey.example', jti: newId('event', at), iat: at / 1000, ...claims };
  return `${encode({ alg: 'ES256' })}.${encode({ ...said, note: 'canary-statement' })}.c2lnbmF0dXJl`;
}
const place = { device, session, grant };

/** A fact of every type there is. */
export const everyFact: { readonly [T in Fact['type']]: Fact & { readonly type: T } } = {
  'request.submitted': {
    type: 'request.submitted',
    request,
    profile: 'remediate',
    devices: [device],
    scopes: ['device.inspect'],
    dataClasses: ['diagnostics'],
    duration: 1_800,
    stages: [{ name: 'lead', from: ['room-leads'], needs: 1 }],
    startsAt: null,
    lapsesAt: '2026-03-01T10:40:00.000Z',
    extends: null,
    reason: commitment,
    ticket: null,
    decisions: [decision],
  },
  'request.refused': {
    type: 'request.refused',
    action: 'request',
    subject: null,
    profile: 'remediate',
    devices: [device],
    decisions: [decision],
  },
  'request.approved': {
    type: 'request.approved',
    request,
    stage: 'lead',
    comment: commitment,
    narrow: { duration: 600 },
    decision,
  },
  'request.denied': { type: 'request.denied', request, stage: 'lead', comment: null, narrow: null, decision },
  'request.cancelled': { type: 'request.cancelled', request },
  'request.lapsed': { type: 'request.lapsed', request },
  'grant.scheduled': { type: 'grant.scheduled', ...terms },
  'grant.started': { type: 'grant.started', ...terms, decisions: [decision] },
  'grant.extended': {
    type: 'grant.extended',
    grant,
    request,
    from: '2026-03-01T10:10:00.000Z',
    to: '2026-03-01T10:20:00.000Z',
  },
  'grant.expired': { type: 'grant.expired', grant, expiresAt: '2026-03-01T10:10:00.000Z' },
  'grant.revoked': { type: 'grant.revoked', grant, reason: commitment, cause: 'person', decision },
  'grant.released': { type: 'grant.released', grant },
  'credential.issued': {
    type: 'credential.issued',
    credential: commitment,
    jti: newId('credential', at),
    grant,
    device,
    person,
    scopes: ['device.inspect'],
    iat: 1_772_358_000,
    nbf: 1_772_358_000,
    exp: 1_772_358_300,
    decision: commitment,
  },
  'session.started': {
    type: 'session.started',
    ...place,
    statement: statement({ type: 'session.started', session, grant, person, scopes: ['device.inspect'] }),
  },
  'session.refused': {
    type: 'session.refused',
    ...place,
    session: null,
    statement: statement({ type: 'session.refused', code: 'scope-missing', grant, person }),
  },
  'session.ended': {
    type: 'session.ended',
    ...place,
    statement: statement({ type: 'session.ended', session, grant, cause: 'closed', lagMs: 12 }),
  },
  'action.performed': {
    type: 'action.performed',
    ...place,
    statement: statement({ type: 'action.performed', session, grant, scope: 'usb.reset', exit: 0, durationMs: 5 }),
  },
  'secret.prepared': { type: 'secret.prepared', device, secret: 'local-admin', generation: 4, commitment },
  'secret.released': {
    type: 'secret.released',
    grant,
    device,
    person,
    secret: 'local-admin',
    generations: [4],
    decision: commitment,
  },
  'secret.rotated': {
    type: 'secret.rotated',
    device,
    secret: 'local-admin',
    generation: 5,
    statement: statement({ type: 'secret.rotated', secret: 'local-admin', generation: 5 }),
  },
  'device.enrolled': { type: 'device.enrolled', device, enrolledBy: other },
  'device.unenrolled': { type: 'device.unenrolled', device, erased: true },
  'tenant.changed': { type: 'tenant.changed', slug: 'contoso', change: 'made' },
  'enrolment-code.made': { type: 'enrolment-code.made', expiresAt: '2026-03-01T10:10:00.000Z' },
  'person.linked': { type: 'person.linked', person, other },
  'person.erased': { type: 'person.erased', person },
  'policy.loaded': { type: 'policy.loaded', policy: decision.policy },
  'key.rotated': {
    type: 'key.rotated',
    key: 'credential',
    from: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs',
    to: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I',
    cause: 'age',
    withdrawn: [],
  },
  'review.completed': { type: 'review.completed', grant, verdict: 'justified', comment: null, decision },
  'alarm.raised': { type: 'alarm.raised', alarm: newId('alarm', at), kind: 'review-overdue', subject: grant },
  'alarm.closed': { type: 'alarm.closed', alarm: newId('alarm', at) },
  'ledger.rollback-accepted': { type: 'ledger.rollback-accepted', from: 9, to: 7 },
};

/** The event of a fact, as a device's when a device states it, otherwise as a person's. */
export function sampleEvent(fact: Fact): LedgerEvent {
  const actor =
    'statement' in fact ? ({ kind: 'device', id: device } as const) : ({ kind: 'person', id: other } as const);
  return eventOf(fact, { at: new Date(at), region: 'EU', tenant, actor });
}
