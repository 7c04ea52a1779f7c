import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { decodeJwt } from 'jose';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';

let broker: TestBroker;
before(async () => {
  broker = await newTestBroker();
});
after(() => broker.stop());

test('the main job: ask, approve, get a credential, give it back', async () => {
  const request = await broker.ask('ada', 'remediate');
  assert.equal(request.state, 'pending');
  const path = `/v1/requests/${request.id}/decisions`;
  const approved = await broker.call('chloe', 'POST', path, { verdict: 'approve', comment: 'go ahead' });
  assert.equal(approved.status, 200, JSON.stringify(approved.body));
  assert.equal(approved.body.state, 'granted');
  const { grant } = approved.body;
  const key = await newEngineerKey();
  const url = `${broker.config.publicUrl}/v1/grants/${grant.id}/credentials`;
  const minted = await broker.call(
    'ada',
    'POST',
    `/v1/grants/${grant.id}/credentials`,
    { device: grant.devices[0] },
    {
      headers: { dpop: await key.proof('POST', url) },
    },
  );
  assert.equal(minted.status, 201, JSON.stringify(minted.body));
  const claims = decodeJwt(minted.body.credential);
  assert.equal(claims.grant, grant.id);
  const released = await broker.call('ada', 'POST', `/v1/grants/${grant.id}/release`);
  assert.equal(released.status, 200, JSON.stringify(released.body));
  assert.equal(released.body.state, 'released');
  await broker.checkLedger();
});
