import { newEngineerKey } from './engineer.ts';
import { newTestDevice } from './device.ts';
import type { Reply, TestBroker, Who } from './broker.ts';

/** One call that changes something, ready to be made, and made again. */
export interface Step {
  /** The event that says it was done. */
  readonly event: string;
  readonly who: Who | null;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Sends it. A proof of possession is made anew each time. */
  readonly send: (url: string, key: string | null) => Promise<Reply>;
}

type Prepare = (broker: TestBroker) => Promise<Step>;

/** The scenario's steps, each with all that must have happened before it. */
export const steps: Readonly<Record<string, Prepare>> = {
  asking: async (broker) =>
    step(broker, 'request.submitted', 'ada', '/v1/requests', 201, {
      profile: 'remediate',
      devices: [broker.contoso.devices[0]!.id],
      duration: 'PT10M',
      reason: 'panel frozen',
      ticket: 'INC1',
    }),
  'asking for what needs no approval': async (broker) =>
    step(broker, 'grant.started', 'ada', '/v1/requests', 201, {
      profile: 'diagnose',
      devices: broker.contoso.devices.map((device) => device.id),
      duration: 'PT10M',
      reason: 'panel frozen',
    }),
  'breaking the glass': async (broker) =>
    step(broker, 'alarm.raised', 'dmitri', '/v1/requests', 201, {
      profile: 'break-glass',
      devices: [broker.contoso.devices[2]!.id],
      duration: 'PT5M',
      reason: 'room on fire',
    }),
  approving: async (broker) => {
    const { id } = await broker.ask('ada', 'remediate');
    const body = { verdict: 'approve', comment: 'go ahead' };
    return step(broker, 'grant.started', 'chloe', `/v1/requests/${id}/decisions`, 200, body);
  },
  denying: async (broker) => {
    const { id } = await broker.ask('ada', 'remediate');
    return step(broker, 'request.denied', 'chloe', `/v1/requests/${id}/decisions`, 200, { verdict: 'deny' });
  },
  cancelling: async (broker) => {
    const { id } = await broker.ask('ada', 'remediate');
    return step(broker, 'request.cancelled', 'ada', `/v1/requests/${id}/cancel`, 200);
  },
  'getting a credential': async (broker) => {
    const grant = await broker.grant('ada', 'remediate');
    const key = await newEngineerKey();
    const path = `/v1/grants/${grant.id}/credentials`;
    return step(broker, 'credential.issued', 'ada', path, 201, { device: grant.devices[0] }, async () => ({
      dpop: await key.proof('POST', broker.config.publicUrl + path),
    }));
  },
  extending: async (broker) => {
    const grant = await broker.grant('ada', 'diagnose');
    const body = { duration: 'PT5M', reason: 'still copying' };
    return step(broker, 'grant.extended', 'ada', `/v1/grants/${grant.id}/extensions`, 201, body);
  },
  revoking: async (broker) => {
    const grant = await broker.grant('ada', 'remediate');
    await broker.call('ada', 'POST', `/v1/grants/${grant.id}/extensions`, { duration: 'PT5M', reason: 'more' });
    return step(broker, 'grant.revoked', 'chloe', `/v1/grants/${grant.id}/revoke`, 200, { reason: 'enough' });
  },
  releasing: async (broker) => {
    const grant = await broker.grant('ada', 'diagnose');
    return step(broker, 'grant.released', 'ada', `/v1/grants/${grant.id}/release`, 200);
  },
  'making a tenant': async (broker) => {
    const body = { name: 'Northwind', region: 'EU' };
    return step(broker, 'tenant.changed', 'olu', `/v1/tenants/t-${Date.now()}`, 201, body, undefined, 'PUT');
  },
  'enrolling a device': async (broker) => {
    const made = await broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id });
    const device = await newTestDevice(broker.config.publicUrl, broker.config.publicUrl);
    const body = await device.enrolment(made.body.code as string, { hostname: 'new-room' });
    return step(broker, 'device.enrolled', null, '/v1/devices', 201, body);
  },
  'taking a device out': async (broker) => {
    const device = await broker.enrol(broker.contoso.id, { hostname: 'old-room' });
    await broker.grant('ada', 'diagnose', { devices: [device.id] });
    return step(broker, 'device.unenrolled', 'olu', `/v1/devices/${device.id}`, 204, undefined, undefined, 'DELETE');
  },
};

async function step(
  broker: TestBroker,
  event: string,
  who: Who | null,
  path: string,
  status: number,
  body?: unknown,
  headers: () => Promise<Record<string, string>> = async () => ({}),
  method = 'POST',
): Promise<Step> {
  const send: Step['send'] = async (url, key) =>
    broker.call(who, method, path, body, {
      url,
      headers: { ...(await headers()), ...(key !== null && { 'idempotency-key': key }) },
    });
  return { event, who, method, path, status, send };
}

/** Everything that a step may change, table by table, to be compared. */
export async function stateOf(broker: TestBroker): Promise<Record<string, string>> {
  const tables =
    'requests decisions grants grant_devices credentials live_versions devices tenants enrolment_codes alarms notices disclosures audit_events';
  const entries = await Promise.all(
    tables.split(' ').map(async (table) => {
      const { rows } = await broker.sql.query<{ state: string }>(
        `SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') AS state FROM ${table} t`,
      );
      return [table, rows[0]!.state] as const;
    }),
  );
  return Object.fromEntries(entries);
}
