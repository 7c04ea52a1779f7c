import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide, ok, refused, scenarios } from './support/scenario.ts';

scenarios((broker) => {
  const devices = (): string[] => broker().contoso.devices.map((device) => device.id);
  const ask = (profile = 'remote-admin') => broker().ask('ada', profile, { devices: devices(), duration: 'PT30M' });
  const narrow = (who: 'chloe' | 'carmen', request: { id: string }, narrow: object) =>
    decide(broker(), who, request, { narrow });

  test('an approver may narrow duration, scopes and devices, and that is what is granted', async () => {
    const request = await ask('remediate');
    const cut = { duration: 'PT5M', scopes: ['usb.reset', 'device.inspect'], devices: [devices()[2], devices()[0]] };
    const { decisions, grant, ...rest } = await ok(narrow('chloe', request, cut));
    assert.deepEqual(decisions[0].narrow, cut);
    assert.equal(Date.parse(grant.expiresAt) - Date.parse(grant.startsAt), 300_000);
    assert.deepEqual(grant.scopes, ['device.inspect', 'usb.reset']);
    assert.deepEqual(grant.devices, [devices()[0], devices()[2]]);
    assert.deepEqual([rest.duration, rest.scopes, rest.devices], ['PT30M', request.scopes, devices()], 'as was asked');
  });

  test('the narrowest of all approvals holds, whoever comes first', async () => {
    for (const [first, second] of [['chloe', 'carmen'] as const, ['carmen', 'chloe'] as const]) {
      const request = await ask();
      await ok(narrow(first, request, { duration: 'PT10M', scopes: ['device.inspect', 'device.reboot'] }));
      const { grant } = await ok(
        narrow(second, request, { duration: 'PT20M', scopes: ['device.reboot', 'usb.reset'], devices: [devices()[1]] }),
      );
      assert.equal(Date.parse(grant.expiresAt) - Date.parse(grant.startsAt), 600_000);
      assert.deepEqual(grant.scopes, ['device.reboot']);
      assert.deepEqual(grant.devices, [devices()[1]]);
    }
  });

  test('nobody widens what was asked for', async () => {
    const request = await broker().ask('ada', 'remediate', { devices: devices().slice(0, 2) });
    const widenings: [object, string][] = [
      [{ duration: 'PT10M1S' }, '/narrow/duration'],
      [{ scopes: ['device.inspect', 'session.remote-admin'] }, '/narrow/scopes/1'],
      [{ devices: devices() }, '/narrow/devices/2'],
      [{ devices: [broker().fabrikam.devices[0]!.id] }, '/narrow/devices/0'],
    ];
    for (const [cut, pointer] of widenings) refused(await narrow('chloe', request, cut), 400, pointer);
    assert.equal((await ok(broker().call('ada', 'GET', `/v1/requests/${request.id}`))).decisions.length, 0);
  });

  test('nobody leaves nothing, alone or together with others', async () => {
    const request = await ask();
    const empty: [object, string][] = [
      [{ duration: 'PT0S' }, '/narrow/duration'],
      [{ scopes: [] }, '/narrow/scopes'],
      [{ devices: [] }, '/narrow/devices'],
      [{ hours: 1 }, '/narrow/hours'],
    ];
    for (const [cut, pointer] of empty) refused(await narrow('chloe', request, cut), 400, pointer);
    await ok(narrow('chloe', request, { scopes: ['device.inspect'], devices: [devices()[0]] }));
    refused(await narrow('carmen', request, { scopes: ['usb.reset'] }), 400, '/narrow/scopes');
    refused(await narrow('carmen', request, { devices: [devices()[1]] }), 400, '/narrow/devices');
    const { state, grant } = await ok(decide(broker(), 'carmen', request));
    assert.equal(state, 'granted');
    assert.deepEqual([grant.scopes, grant.devices], [['device.inspect'], [devices()[0]]]);
  });
});
