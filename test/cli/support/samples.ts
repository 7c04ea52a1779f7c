import type { AccessRequest, Device, Grant } from '../../../src/cli/answers.ts';
import { newId } from '../../../src/domain/ids.ts';

const epoch = Date.parse('2026-03-01T12:00:00.000Z');
/** The moment that samples are seen at. */
export const sampleNow = epoch;
const at = (minutes: number): string => new Date(epoch + minutes * 60_000).toISOString();

export const oslo = newId('device', epoch);
export const ada = { id: newId('person', epoch), name: 'Ada Lovelace' };
export const grace = { id: newId('person', epoch + 1), name: 'Grace Hopper' };
const tenant = newId('tenant', epoch);

export function sampleDevice(changes: Partial<Device> = {}): Device {
  return {
    id: oslo,
    tenant,
    name: 'Oslo 3',
    state: 'enrolled',
    facts: { serial: 'SN-0042', make: 'Crestwood', model: 'Panel 10', hostname: 'oslo-3.rooms' },
    door: { url: 'http://127.0.0.1:1', certificateSha256: null },
    inUse: false,
    lastSeenAt: at(-2),
    ...changes,
  };
}

export function sampleRequest(changes: Partial<AccessRequest> = {}): AccessRequest {
  return {
    id: newId('request', epoch),
    state: 'pending',
    profile: 'remediate',
    tenant,
    devices: [oslo],
    duration: 'PT30M',
    scopes: ['device.inspect', 'device.reboot'],
    dataClasses: ['System Metadata'],
    reason: 'panel frozen',
    ticket: 'INC0012345',
    requester: ada,
    createdAt: at(-3),
    startsAt: null,
    lapsesAt: at(57),
    extends: null,
    stages: [{ name: 'lead', from: ['room-leads'], needs: 1, approvedBy: [] }],
    decisions: [],
    grant: null,
    ...changes,
  };
}

export function sampleGrant(changes: Partial<Grant> = {}): Grant {
  return {
    id: newId('grant', epoch),
    request: newId('request', epoch),
    state: 'active',
    person: ada,
    tenant,
    profile: 'remediate',
    devices: [oslo],
    scopes: ['device.inspect', 'device.reboot'],
    startsAt: at(0),
    expiresAt: at(30),
    endedAt: null,
    endedBy: null,
    endReason: null,
    review: null,
    ...changes,
  };
}
