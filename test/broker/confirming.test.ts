import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestDevice } from '../support/device.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { openSession, sign, tell } from './support/door.ts';
import { eventually, ok, scenarios, sleep } from './support/scenario.ts';

scenarios(
  (broker) => {
    const grantNow = (id: string) => ok(broker().call('ada', 'GET', `/v1/grants/${id}`));
    const release = (id: string) => ok(broker().call('ada', 'POST', `/v1/grants/${id}/release`));
    const sessionsOf = async (grant: string, state?: string): Promise<string[]> => {
      const query = `grant=${grant}${state === undefined ? '' : `&state=${state}`}`;
      const { items } = await ok(broker().call('ada', 'GET', `/v1/sessions?${query}`));
      return items.map((each: { id: string }) => each.id);
    };
    const alarmsOver = async (session: string, state: 'open' | 'closed') => {
      const { items } = await ok(broker().call('olu', 'GET', `/v1/alarms?state=${state}&limit=200`));
      return items.filter((each: { subject: string }) => each.subject === session);
    };
    const open = async (device: TestDevice, devices = [device]) => {
      const grant = await broker().grant('ada', 'diagnose', { devices: devices.map(({ id }) => id) });
      return { grant, session: await openSession(broker(), device, grant) };
    };
    /** A minute passes for a session. Nobody but a superuser who poses as a replica could say so. */
    const aMinuteLater = (session: string) =>
      broker().sql.query(
        `BEGIN; SET LOCAL session_replication_role = 'replica';
       UPDATE grants SET starts_at = starts_at - interval '61 s', ended_at = ended_at - interval '61 s', started_at = started_at - interval '61 s'
         WHERE id = (SELECT grant_id FROM sessions WHERE id = '${session}');
       UPDATE grant_devices d SET left_at = left_at - interval '61 s' FROM sessions s
         WHERE s.id = '${session}' AND d.grant_id = s.grant_id AND d.device = s.device;
       UPDATE sessions SET started_at = started_at - interval '61 s' WHERE id = '${session}';
       COMMIT`,
      );

    test('a grant is confirmed ended once each of its sessions is, and not before', async () => {
      const [one, other] = broker().contoso.devices;
      const grant = await broker().grant('ada', 'diagnose', { devices: [one!.id, other!.id] });
      const key = await newEngineerKey();
      const session = await openSession(broker(), one!, grant, key);
      const elsewhere = await openSession(broker(), other!, grant, key);
      await tell(one!, session.started);
      await tell(other!, elsewhere.started);
      assert.deepEqual((await grantNow(grant.id)).sessions, { open: 2, confirmed: 0 });
      assert.deepEqual(await sessionsOf(grant.id, 'unconfirmed'), []);

      const released = await release(grant.id);
      assert.deepEqual([released.sessions, released.confirmedEndedAt], [{ open: 2, confirmed: 0 }, null]);
      assert.deepEqual((await sessionsOf(grant.id, 'unconfirmed')).sort(), [session.id, elsewhere.id].sort());
      await tell(one!, session.ended);
      const half = await grantNow(grant.id);
      assert.deepEqual([half.sessions, half.confirmedEndedAt], [{ open: 1, confirmed: 1 }, null]);
      assert.deepEqual(await sessionsOf(grant.id, 'unconfirmed'), [elsewhere.id]);
      await tell(other!, elsewhere.ended);
      const whole = await grantNow(grant.id);
      assert.deepEqual(whole.sessions, { open: 0, confirmed: 2 });
      assert.ok(whole.confirmedEndedAt > whole.endedAt);
      assert.deepEqual(await sessionsOf(grant.id, 'unconfirmed'), []);
    });

    test('what ended before its grant leaves nothing to confirm', async () => {
      const [device] = broker().contoso.devices;
      const { grant, session } = await open(device!);
      await tell(device!, session.started, session.ended);
      assert.deepEqual(
        [(await grantNow(grant.id)).sessions.open, (await grantNow(grant.id)).confirmedEndedAt],
        [0, null],
      );
      const { endedAt, confirmedEndedAt } = await release(grant.id);
      assert.equal(confirmedEndedAt, endedAt);
    });

    test('an end that nobody confirms for a minute is an alarm, once; its confirmation closes it, once', async () => {
      const [device] = broker().contoso.devices;
      const { grant, session } = await open(device!);
      await tell(device!, session.started);
      await release(grant.id);
      await sleep(2_500);
      assert.deepEqual(await alarmsOver(session.id, 'open'), [], 'a minute has not passed');
      await aMinuteLater(session.id);
      const [alarm] = await eventually(async () => {
        const found = await alarmsOver(session.id, 'open');
        return found.length > 0 && found;
      });
      assert.equal(alarm.kind, 'session-unconfirmed');
      await sleep(2_500);
      await tell(device!, session.ended);
      const closed = await alarmsOver(session.id, 'closed');
      assert.deepEqual(
        closed.map((each: { id: string }) => each.id),
        [alarm.id],
      );
      assert.deepEqual(await alarmsOver(session.id, 'open'), []);
      const told = (await broker().events('alarm.raised', 'alarm.closed')).filter((each) => each.alarm === alarm.id);
      assert.deepEqual(
        told.map(({ type, tenant }) => [type, tenant]),
        [
          ['alarm.raised', broker().contoso.id],
          ['alarm.closed', broker().contoso.id],
        ],
      );
      assert.ok((await grantNow(grant.id)).confirmedEndedAt);
    });

    test('nobody closes an alarm over a session but its own device, for its own grant', async () => {
      const [device, other] = broker().contoso.devices;
      const { grant, session } = await open(device!);
      await tell(device!, session.started);
      await release(grant.id);
      await aMinuteLater(session.id);
      await eventually(async () => (await alarmsOver(session.id, 'open')).length > 0);
      const another = await open(other!);
      const lie = { type: 'session.ended', session: session.id, cause: 'closed', lagMs: 0 } as const;
      await tell(other!, await sign(broker(), other!, { ...lie, grant: session.grant }));
      await tell(device!, await sign(broker(), device!, { ...lie, grant: another.session.grant }));
      assert.equal((await alarmsOver(session.id, 'open')).length, 1);
      assert.deepEqual(await sessionsOf(grant.id, 'unconfirmed'), [session.id]);
      await tell(device!, session.ended);
      assert.deepEqual(await alarmsOver(session.id, 'open'), []);
    });

    test('an end told before its beginning counts when that comes', async () => {
      const [device] = broker().contoso.devices;
      const { grant, session } = await open(device!);
      await tell(device!, session.ended);
      assert.deepEqual((await grantNow(grant.id)).sessions, { open: 0, confirmed: 0 });
      await tell(device!, session.started);
      assert.deepEqual((await grantNow(grant.id)).sessions, { open: 0, confirmed: 1 });
      const { rows } = await broker().sql.query('SELECT 1 FROM early_session_ends WHERE session = $1', [session.id]);
      assert.equal(rows.length, 0);
    });

    test('a session of which is told only after its grant has ended waits a minute from then', async () => {
      const [device] = broker().contoso.devices;
      const { grant, session } = await open(device!);
      await release(grant.id);
      await broker().sql.query(
        `BEGIN; SET LOCAL session_replication_role = 'replica';
       UPDATE grants SET starts_at = starts_at - interval '1 h', started_at = started_at - interval '1 h',
         ended_at = ended_at - interval '1 h' WHERE id = '${grant.id}'; COMMIT`,
      );
      await tell(device!, session.started);
      assert.deepEqual(await sessionsOf(grant.id, 'unconfirmed'), [session.id]);
      await sleep(2_500);
      assert.deepEqual(await alarmsOver(session.id, 'open'), []);
      await tell(device!, session.ended);
    });

    test('a session at a device that was taken out can no longer be confirmed, and is an alarm', async () => {
      const device = await broker().enrol(broker().contoso.id);
      const [other] = broker().contoso.devices;
      const { grant, session } = await open(device, [device, other!]);
      await tell(device, session.started);
      await ok(broker().call('olu', 'DELETE', `/v1/devices/${device.id}`), 204);
      assert.equal((await grantNow(grant.id)).state, 'active', 'it goes on at the other device');
      assert.deepEqual(await sessionsOf(grant.id, 'unconfirmed'), [session.id]);
      assert.equal((await device.call('POST', '/v1/agent/events', { events: [session.ended] })).status, 401);
      await aMinuteLater(session.id);
      await eventually(async () => (await alarmsOver(session.id, 'open')).length > 0);
      await release(grant.id);
      assert.equal((await grantNow(grant.id)).confirmedEndedAt, null);
    });
  },
  { concurrency: true },
);
