import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSession, tell } from './support/door.ts';
import { decide, mint, ok, refused, scenarios } from './support/scenario.ts';

scenarios((broker) => {
  const remove = (id: string, query = '', who: 'olu' | 'ada' | 'chloe' | 'carmen' | 'felix' = 'olu') =>
    broker().call(who, 'DELETE', `/v1/devices/${id}${query}`);
  const grantNow = (id: string) => ok(broker().call('ada', 'GET', `/v1/grants/${id}`));
  const enrol = () => broker().enrol(broker().contoso.id, { serial: 'SN-77', hostname: 'cellar', floor: 'minus one' });

  test('an operator takes a device out; others who see it may not, and who does not see it finds none', async () => {
    const { id } = await enrol();
    for (const who of ['ada', 'chloe', 'carmen'] as const) refused(await remove(id, '', who), 403);
    refused(await remove(id, '', 'felix'), 404);
    await ok(remove(id), 204);
    refused(await remove(id), 409);
    const device = await ok(broker().call('ada', 'GET', `/v1/devices/${id}`));
    assert.equal(device.state, 'unenrolled');
    assert.equal(device.facts.floor, 'minus one', 'what was collected stays unless it is erased');
    assert.equal((await broker().events('device.unenrolled')).filter((event) => event.device === id).length, 1);
  });

  test('a device takes itself out, and no other', async () => {
    const [device, other] = [await enrol(), await enrol()];
    await device.signIn();
    assert.equal((await device.call('DELETE', `/v1/devices/${other.id}`)).status, 404);
    assert.equal((await device.call('DELETE', `/v1/devices/${device.id}`)).status, 204);
    const [event] = (await broker().events('device.unenrolled')).filter((each) => each.device === device.id);
    assert.deepEqual(event.actor, { kind: 'device', id: device.id });
    assert.equal((await ok(broker().call('olu', 'GET', `/v1/devices/${other.id}`))).state, 'enrolled');
  });

  test('an approval is good for those devices that are still enrolled, and for none it is refused', async () => {
    const [gone, stays] = [await enrol(), await enrol()];
    const both = await broker().ask('ada', 'remediate', { devices: [gone.id, stays.id] });
    const one = await broker().ask('ada', 'remediate', { devices: [gone.id] });
    await ok(remove(gone.id), 204);
    const { grant } = await ok(decide(broker(), 'chloe', both));
    assert.deepEqual(grant.devices, [stays.id]);
    assert.deepEqual((await grantNow(grant.id)).devices, [stays.id]);
    const [started] = (await broker().events('grant.started')).filter((event) => event.grant === grant.id);
    assert.deepEqual(started.devices, [stays.id]);
    const reply = await decide(broker(), 'chloe', one);
    refused(reply, 409);
    assert.match(reply.body.detail, /none of the devices is enrolled/);
    assert.equal((await ok(broker().call('ada', 'GET', `/v1/requests/${one.id}`))).state, 'pending');
  });

  test('a device that is taken out while it is granted is on no grant that lasts', async () => {
    for (let turn = 0; turn < 6; turn++) {
      const device = await enrol();
      const asked = await broker().ask('ada', 'remediate', { devices: [device.id] });
      const diagnose = { profile: 'diagnose', devices: [device.id], duration: 'PT10M', reason: 'panel frozen' };
      const [removed, decided, atOnce] = await Promise.all([
        remove(device.id),
        decide(broker(), 'chloe', asked),
        broker().call('ada', 'POST', '/v1/requests', diagnose),
      ]);
      assert.equal(removed.status, 204);
      assert.ok([200, 409].includes(decided.status), JSON.stringify(decided.body));
      assert.ok([201, 400, 409].includes(atOnce.status), JSON.stringify(atOnce.body));
      for (const { body } of [decided, atOnce].filter(({ body: { grant } }) => grant)) {
        assert.notEqual((await grantNow(body.grant.id)).state, 'active');
      }
    }
  });

  test('neither token nor key of a device that is out is good for anything', async () => {
    const device = await enrol();
    await device.signIn();
    assert.equal((await device.call('GET', '/v1/agent/live-grants')).status, 200);
    await ok(remove(device.id), 204);
    for (const path of ['/v1/agent/live-grants', '/v1/agent/stream']) {
      assert.equal((await device.call('GET', path)).status, 401, path);
    }
    assert.equal((await device.call('PUT', '/v1/agent/state', { inUse: true })).status, 401);
    assert.equal((await device.signIn()).status, 401);
    const { code } = await ok(
      broker().call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker().contoso.id }),
      201,
    );
    assert.equal((await device.enrol(code)).status, 409, 'its key never enrols again');
  });

  test('with erase, what was collected about it goes as well, also later; the ledger keeps both facts', async () => {
    for (const steps of [['?erase=true'], ['', '?erase=true', '?erase=true']]) {
      const { id } = await enrol();
      for (const query of steps) await ok(remove(id, query), 204);
      const device = await ok(broker().call('olu', 'GET', `/v1/devices/${id}`));
      assert.deepEqual([device.facts, device.name, device.door, device.lastSeenAt], [{}, id, null, null]);
      const found = await ok(broker().call('olu', 'GET', '/v1/devices?q=minus'));
      assert.ok(!found.items.some((each: { id: string }) => each.id === id));
      const facts = (await broker().events('device.unenrolled')).filter((event) => event.device === id);
      assert.deepEqual(
        facts.map(({ erased }) => erased),
        steps.length > 1 ? [false, true] : [true],
      );
      refused(await remove(id), 409);
    }
    refused(await remove((await enrol()).id, '?erase=perhaps'), 400);
  });

  test('erased, nothing that a device said of itself is left in any table, nor comes back', async () => {
    const marks = ['canary-cellar', 'CANARY-4711', 'canary.make'];
    const facts = { hostname: marks[0], serial: marks[1], make: marks[2], model: marks[1] };
    const device = await broker().enrol(broker().contoso.id, facts);
    const grant = await broker().grant('ada', 'remediate', { devices: [device.id] });
    const session = await openSession(broker(), device, grant);
    await device.signIn();
    await device.call('PUT', '/v1/agent/state', { inUse: true, door: { url: 'https://canary-cellar:7443' }, facts });
    await tell(device, session.started);
    const refusedWish = { profile: 'remediate', devices: [device.id], duration: 'PT10M', reason: 'panel frozen' };
    refused(await broker().call('zed', 'POST', '/v1/requests', refusedWish), 403);

    const tables = async (): Promise<string[]> => {
      const { rows } = await broker().sql.query<{ name: string }>(
        `SELECT oid::regclass::text AS name FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`,
      );
      return rows.map(({ name }) => name);
    };
    const findMarks = async (): Promise<string[]> => {
      const found = [];
      for (const table of await tables()) {
        const { rows } = await broker().sql.query<{ text: string }>(`SELECT t::text AS text FROM ${table} t`);
        const hex = marks.map((mark) => Buffer.from(mark).toString('hex'));
        if (rows.some(({ text }) => [...marks, ...hex].some((mark) => text.includes(mark)))) found.push(table);
      }
      return found.sort();
    };
    assert.deepEqual(await findMarks(), ['devices', 'disclosures'], 'it would find them');
    await ok(remove(device.id, '?erase=true'), 204);
    assert.deepEqual(await findMarks(), []);
    const { rows } = await broker().sql.query('SELECT 1 FROM device_statements WHERE device = $1', [device.id]);
    assert.equal(rows.length, 0);
    assert.equal((await device.call('PUT', '/v1/agent/state', { inUse: true, facts })).status, 401);
    const { lastSeenAt } = await ok(broker().call('olu', 'GET', `/v1/devices/${device.id}`));
    assert.equal(lastSeenAt, null, 'being refused is not being seen');
  });

  test('a device that was taken out is told so once its key has signed, and nobody else is', async () => {
    const device = await enrol();
    const stranger = await enrol();
    await device.signIn();
    await ok(remove(device.id), 204);
    const said = 'the device is no longer enrolled';
    assert.equal((await device.call('GET', '/v1/agent/live-grants')).body['detail'], said);
    assert.deepEqual((await device.signIn()).body, { error: 'invalid_client', error_description: said });
    const forged = await stranger.assertion({ iss: device.id, sub: device.id });
    assert.doesNotMatch(JSON.stringify((await device.signIn(forged)).body), /no longer/);
  });

  test('a device leaves its grants, and those without a device end', async () => {
    const [one, other] = [await enrol(), await enrol()];
    const both = await broker().grant('ada', 'diagnose', { devices: [one.id, other.id] });
    const alone = await broker().grant('ada', 'diagnose', { devices: [one.id] });
    const startsAt = new Date(Date.now() + 60_000).toISOString();
    const later = (await broker().ask('ada', 'diagnose', { devices: [one.id], startsAt })).grant;
    const given = await broker().grant('ada', 'diagnose', { devices: [one.id, other.id] });
    await ok(broker().call('ada', 'POST', `/v1/grants/${given.id}/release`));
    await ok(remove(one.id), 204);

    const left = await grantNow(both.id);
    assert.deepEqual([left.state, left.devices], ['active', [other.id]]);
    refused(await mint(broker(), 'ada', both, { device: one.id }), 400, '/device');
    assert.equal((await mint(broker(), 'ada', both, { device: other.id })).status, 201);
    for (const { id } of [alone, later]) {
      const { state, endedBy, endReason, devices } = await grantNow(id);
      assert.deepEqual([state, endedBy, devices], ['revoked', null, [one.id]]);
      assert.match(endReason, /device/);
    }
    const [event] = (await broker().events('grant.revoked')).filter((each) => each.grant === alone.id);
    assert.equal(event.cause, 'devices-gone');
    assert.deepEqual((await grantNow(given.id)).devices, [one.id, other.id], 'what was over stays as it was');
    const history = await ok(broker().call('ada', 'GET', `/v1/grants?device=${one.id}`));
    assert.equal(history.items.length, 4);

    await ok(remove(other.id), 204);
    assert.equal((await grantNow(both.id)).state, 'revoked');
  });

  test('a request that waits is granted on the devices that are left, and not at all on none', async () => {
    const [one, other] = [await enrol(), await enrol()];
    const both = await broker().ask('ada', 'remediate', { devices: [one.id, other.id] });
    const alone = await broker().ask('ada', 'remediate', { devices: [one.id] });
    await ok(remove(one.id), 204);
    const { grant } = await ok(decide(broker(), 'chloe', both));
    assert.deepEqual(grant.devices, [other.id]);
    refused(await decide(broker(), 'chloe', alone), 409);
    const { state, decisions } = await ok(broker().call('ada', 'GET', `/v1/requests/${alone.id}`));
    assert.deepEqual([state, decisions], ['pending', []]);
  });
});
