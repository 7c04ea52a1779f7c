import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide, ok, reasonsOf, refused, scenarios, tableCounts } from './support/scenario.ts';

scenarios((broker) => {
  const wish = (more: object = {}): object => ({
    profile: 'remediate',
    devices: [broker().contoso.devices[0]!.id],
    duration: 'PT30M',
    reason: 'panel frozen',
    ...more,
  });
  const ask = (more: object, who: 'ada' | 'ben' | 'zed' | 'chloe' | 'carmen' | 'nobody' = 'ada') =>
    broker().call(who, 'POST', '/v1/requests', wish(more));
  const dryRun = (more: object, who: 'ada' | 'zed' = 'ada') =>
    broker().call(who, 'POST', '/v1/requests?dryRun=true', wish(more));

  test('a request is answered with 201, where it is, and all that the contract names', async () => {
    const before = Date.now();
    const reply = await ask({ ticket: 'INC0012345' });
    assert.equal(reply.status, 201);
    assert.equal(reply.headers.get('location'), `/v1/requests/${reply.body.id}`);
    const { id, createdAt, lapsesAt, requester, ...rest } = reply.body;
    assert.match(id, /^req_/);
    assert.match(requester.id, /^per_/);
    assert.equal(requester.name, 'Ada Okafor');
    assert.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.ok(Math.abs(Date.parse(createdAt) - before) < 5_000);
    assert.equal(Date.parse(lapsesAt) - Date.parse(createdAt), 3_600_000);
    assert.deepEqual(rest, {
      state: 'pending',
      profile: 'remediate',
      tenant: broker().contoso.id,
      devices: [broker().contoso.devices[0]!.id],
      duration: 'PT30M',
      scopes: ['device.inspect', 'device.reboot', 'usb.reset', 'app.restart'],
      dataClasses: ['System Metadata'],
      reason: 'panel frozen',
      ticket: 'INC0012345',
      startsAt: null,
      extends: null,
      stages: [{ name: 'lead', from: ['room-leads'], needs: 1, approvedBy: [] }],
      decisions: [],
      grant: null,
    });
    assert.deepEqual((await ok(broker().call('ada', 'GET', `/v1/requests/${id}`))).requester, requester);
  });

  test('a profile without stages is granted at once, with the whole grant in the answer', async () => {
    const { status, body } = await ask({ profile: 'diagnose', devices: broker().contoso.devices.map((d) => d.id) });
    assert.equal(status, 201);
    assert.equal(body.state, 'granted');
    assert.deepEqual(body.stages, []);
    const { grant } = body;
    assert.equal(grant.state, 'active');
    assert.equal(grant.request, body.id);
    assert.deepEqual(grant.devices, body.devices);
    assert.deepEqual(grant.person, body.requester);
    assert.equal(grant.startsAt, body.createdAt);
    assert.equal(Date.parse(grant.expiresAt) - Date.parse(grant.startsAt), 30 * 60_000);
    for (const absent of ['endedAt', 'endedBy', 'endReason', 'review']) assert.equal(grant[absent], null);
    assert.deepEqual(await ok(broker().call('ada', 'GET', `/v1/grants/${grant.id}`)), grant);
  });

  test('stages speak for the very tenant', async () => {
    const { body } = await ask({ profile: 'remote-admin', devices: [broker().fabrikam.devices[0]!.id] });
    assert.deepEqual(
      body.stages.map((stage: { from: string[] }) => stage.from),
      [['room-leads'], ['customer-approvers:fabrikam']],
    );
  });

  const unknownDevice = 'dev_01h455vb4pex5vsknk084sn02q';
  const mistakes: [string, () => object, string][] = [
    ['an unknown profile', () => ({ profile: 'sudo' }), '/profile'],
    ['a missing profile', () => ({ profile: undefined }), '/profile'],
    ['an unknown device', () => ({ devices: [broker().contoso.devices[0]!.id, unknownDevice] }), '/devices/1'],
    ['something that is no device', () => ({ devices: ['boardroom'] }), '/devices/0'],
    ['no device', () => ({ devices: [] }), '/devices'],
    ['a device twice', () => ({ devices: Array(2).fill(broker().contoso.devices[0]!.id) }), '/devices'],
    [
      'more than fifty devices',
      () => ({ devices: Array.from({ length: 51 }, (_, i) => unknownDevice.slice(0, -2) + String(i + 10)) }),
      '/devices',
    ],
    [
      'devices of two tenants',
      () => ({ devices: [broker().contoso.devices[0]!.id, broker().fabrikam.devices[0]!.id] }),
      '/devices/1',
    ],
    ['no time at all', () => ({ duration: 'PT0S' }), '/duration'],
    ['a duration in months', () => ({ duration: 'P1M' }), '/duration'],
    ['a duration that is a number', () => ({ duration: 1800 }), '/duration'],
    ['a start in the past', () => ({ startsAt: new Date(Date.now() - 1_000).toISOString() }), '/startsAt'],
    ['a start that is no moment', () => ({ startsAt: 'tomorrow' }), '/startsAt'],
    ['no reason', () => ({ reason: undefined }), '/reason'],
    ['a blank reason', () => ({ reason: '  \n' }), '/reason'],
    ['a field that nobody knows', () => ({ approvedBy: 'chloe' }), '/approvedBy'],
    ['an empty ticket', () => ({ ticket: '' }), '/ticket'],
  ];
  for (const [name, more, pointer] of mistakes) {
    test(`asking with ${name} is refused at ${pointer}`, async () => {
      refused(await ask(more()), 400, pointer);
      refused(await dryRun(more()), 400, pointer);
    });
  }

  test('a start at a moment that no calendar has is refused rather than moved', async () => {
    const year = new Date().getUTCFullYear() + 1;
    for (const moment of ['02-30T10:00:00Z', '04-31T10:00:00Z', '01-01T24:00:00Z', '13-01T00:00:00Z']) {
      const { body } = await ask({ startsAt: `${year}-${moment}` });
      assert.deepEqual(body.errors, [{ pointer: '/startsAt', message: 'is not a moment in RFC 3339' }]);
    }
    const tooFar = await ask({ startsAt: new Date(Date.now() + 91 * 86_400_000).toISOString() });
    assert.match(tooFar.body.detail, /90 days/);
  });

  test('a device that has been taken out cannot be asked for', async () => {
    const device = await broker().enrol(broker().contoso.id);
    await ok(broker().call('olu', 'DELETE', `/v1/devices/${device.id}`), 204);
    refused(await ask({ devices: [broker().contoso.devices[0]!.id, device.id] }), 400, '/devices/1');
  });

  test('longer than the longest is a matter of policy', async () => {
    const reply = await ask({ duration: 'PT1H1S' });
    assert.deepEqual(reasonsOf(reply), ['longer-than-longest']);
    assert.match(reply.body.reasons[0].remedy, /PT1H/);
    assert.equal((await ask({ duration: 'PT1H' })).status, 201);
  });

  test('who may not have a profile is told which rule says so, and that they asked is an event', async () => {
    const refusals = async (): Promise<number> => (await broker().events('request.refused')).length;
    const before = await refusals();
    assert.deepEqual(reasonsOf(await ask({}, 'zed')), ['training-is-valid']);
    assert.deepEqual(reasonsOf(await ask({ profile: 'update' }, 'ben')), ['not-for-subcontractors']);
    assert.deepEqual(reasonsOf(await ask({ profile: 'break-glass' })), ['no-policy-permits']);
    assert.deepEqual(reasonsOf(await ask({}, 'chloe')), ['no-policy-permits']);
    assert.equal((await ask({}, 'carmen')).status, 403);
    assert.equal(await refusals(), before + 5);
    const last = (await broker().events('request.refused')).at(-1);
    assert.equal(last.action, 'request');
    assert.equal(last.decisions[0].policy, (await ok(broker().call('ada', 'GET', '/v1/policies'))).digest);
  });

  test('who sees no device learns nothing of one by asking for it', async () => {
    const known = await ask({}, 'nobody');
    const unknown = await ask({ devices: [unknownDevice] }, 'nobody');
    assert.equal(known.status, unknown.status);
    assert.ok([400, 403].includes(known.status));
    const texts = [known, unknown].map(({ body }) => JSON.stringify(body).replaceAll(/dev_\w+/g, 'dev'));
    assert.equal(texts[0], texts[1]);
  });

  test('a dry run answers what the real call would, and leaves nothing behind', async () => {
    await Promise.all([ask({}), ask({}, 'zed')]);
    const before = await tableCounts(broker());
    for (const profile of ['remediate', 'diagnose']) {
      const dry = await dryRun({ profile });
      assert.equal(dry.status, 200);
      assert.equal(dry.headers.get('location'), null);
      const real = await ask({ profile });
      assert.deepEqual(forget(dry.body), forget(real.body));
      refused(await broker().call('ada', 'GET', `/v1/requests/${dry.body.id}`), 404);
      if (profile === 'diagnose') await broker().call('ada', 'POST', `/v1/grants/${real.body.grant.id}/release`);
    }
    const between = await tableCounts(broker());
    assert.ok(between['requests']! > before['requests']!);
    await dryRun({});
    await dryRun({ profile: 'diagnose' });
    const refusal = await dryRun({}, 'zed');
    assert.deepEqual(refusal.body, (await ask({}, 'zed')).body);
    assert.equal(refusal.status, 403);
    const after = await tableCounts(broker());
    // The one real refusal is one event with the inputs of its decision.
    assert.deepEqual(after, {
      ...between,
      audit_events: between['audit_events']! + 1,
      disclosures: between['disclosures']! + 1,
    });
  });

  test('a dry run does not use up an idempotency key', async () => {
    const headers = { 'idempotency-key': crypto.randomUUID() };
    await ok(broker().call('ada', 'POST', '/v1/requests?dryRun=true', wish(), { headers }));
    await ok(broker().call('ada', 'POST', '/v1/requests', wish(), { headers }), 201);
    refused(await broker().call('ada', 'POST', '/v1/requests?dryRun=maybe', wish()), 400);
  });

  test('the same key and body are answered the same, and done once', async () => {
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const send = (body: object, who: 'ada' | 'ben' = 'ada') =>
      broker().call(who, 'POST', '/v1/requests', body, { headers });
    const first = await send(wish());
    assert.equal(first.status, 201);
    const again = await send(wish());
    assert.deepEqual([again.status, again.body], [201, first.body]);
    assert.equal(again.headers.get('location'), first.headers.get('location'));
    // The order of members is no difference in what is said.
    const turned = Object.fromEntries(Object.entries(wish()).toReversed());
    assert.deepEqual((await send(turned)).body, first.body);
    await ok(decide(broker(), 'chloe', first.body));
    assert.deepEqual((await send(wish())).body, first.body, 'answered as it was, whatever happened since');
    refused(await send(wish({ reason: 'another' })), 409);
    refused(await broker().call('ada', 'POST', `/v1/requests/${first.body.id}/cancel`, undefined, { headers }), 409);
    const others = await send(wish(), 'ben');
    assert.equal(others.status, 201, 'a key is its person’s own');
    assert.notEqual(others.body.id, first.body.id);
  });

  test('a refusal is kept under its key as well', async () => {
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const send = () => broker().call('zed', 'POST', '/v1/requests', wish(), { headers });
    const before = (await broker().events('request.refused')).length;
    const [first, again] = [await send(), await send()];
    assert.deepEqual([first.status, again.status], [403, 403]);
    assert.deepEqual(first.body, again.body);
    assert.equal((await broker().events('request.refused')).length, before + 1);
  });

  test('a key must be one printable text', async () => {
    for (const key of ['', 'x'.repeat(256), 'with space', 'é']) {
      refused(await broker().call('ada', 'POST', '/v1/requests', wish(), { headers: { 'idempotency-key': key } }), 400);
    }
  });
});

/** An answer without what differs from call to call: ids of the new things, and moments. */
function forget(body: object): unknown {
  const text = JSON.stringify(body).replaceAll(/"(req|grt)_\w+"/g, '"$1"');
  return JSON.parse(text.replaceAll(/"\d{4}-\d\d-\d\dT[^"]+"/g, '"then"'));
}
