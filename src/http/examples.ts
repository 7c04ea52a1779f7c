/** Examples that the OpenAPI document shows; a test holds each against its schema. */

const person = { id: 'per_01kc5r0000e3p9y5n6q7r8s9ta', name: 'Ada Okafor' };
const lead = { id: 'per_01kc5r0000e3p9y5n6q7r8s9tb', name: 'Chloé Marchetti' };
const device = 'dev_01kc5r0000e3p9y5n6q7r8s9tc';
const tenant = 'ten_01kc5r0000e3p9y5n6q7r8s9td';
const scopes = ['device.inspect', 'device.reboot', 'usb.reset', 'app.restart'];

export const grantExample = {
  id: 'grt_01kc5r0000e3p9y5n6q7r8s9te',
  request: 'req_01kc5r0000e3p9y5n6q7r8s9tf',
  state: 'active',
  person,
  tenant,
  profile: 'remediate',
  devices: [device],
  scopes,
  startsAt: '2026-03-01T09:31:12.000Z',
  expiresAt: '2026-03-01T10:01:12.000Z',
  endedAt: null,
  endedBy: null,
  endReason: null,
  review: null,
  sessions: { open: 1, confirmed: 0 },
  confirmedEndedAt: null,
};

export const requestExample = {
  id: 'req_01kc5r0000e3p9y5n6q7r8s9tf',
  state: 'granted',
  profile: 'remediate',
  tenant,
  devices: [device],
  duration: 'PT30M',
  scopes,
  dataClasses: ['System Metadata'],
  reason: 'panel frozen',
  ticket: 'INC0012345',
  requester: person,
  createdAt: '2026-03-01T09:30:00.000Z',
  startsAt: null,
  lapsesAt: '2026-03-01T10:30:00.000Z',
  extends: null,
  stages: [{ name: 'lead', from: ['room-leads'], needs: 1, approvedBy: [lead] }],
  decisions: [
    { by: lead, verdict: 'approve', stage: 'lead', comment: 'go ahead', narrow: null, at: '2026-03-01T09:31:12.000Z' },
  ],
  grant: grantExample,
};

export const sessionExample = {
  id: 'ses_01kc5r0000e3p9y5n6q7r8s9tj',
  device,
  grant: grantExample.id,
  person,
  scopes,
  state: 'ended',
  startedAt: '2026-03-01T09:32:00.000Z',
  endedAt: '2026-03-01T09:40:00.000Z',
  cause: 'grant-not-live',
};

export const deviceExample = {
  id: device,
  tenant,
  name: 'boardroom-4',
  state: 'enrolled',
  facts: { serial: 'MTR-0042', make: 'Crestron', model: 'Flex UC-B30', hostname: 'boardroom-4' },
  door: { url: 'https://10.20.0.4:7443', certificateSha256: 'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg' },
  inUse: false,
  lastSeenAt: '2026-03-01T09:29:51.000Z',
  enrolledAt: '2026-02-11T14:03:20.000Z',
};

export const tenantExample = { id: tenant, slug: 'contoso', name: 'Contoso', region: 'EU' };

export const alarmExample = {
  id: 'alr_01kc5r0000e3p9y5n6q7r8s9tg',
  kind: 'review-overdue',
  subject: grantExample.id,
  grant: null,
  since: '2026-03-02T09:31:12.000Z',
  closedAt: null,
};

export const noticeExample = {
  id: 'ntc_01kc5r0000e3p9y5n6q7r8s9th',
  kind: 'break-glass-used',
  subject: grantExample.id,
  at: '2026-03-01T09:31:12.000Z',
  text: `break-glass access was taken: ${grantExample.id} wants a review`,
};
