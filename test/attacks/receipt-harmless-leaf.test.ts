import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { newId } from '../../src/domain/ids.ts';
import { forge, newDoorstep, refusedWith, type Doorstep } from '../agent/support/doorstep.ts';
import { testStart } from '../agent/support/test-clock.ts';
import { headerOf } from '../agent/support/test-ledger.ts';

let at: Doorstep;
before(async () => {
  at = await newDoorstep();
});
after(() => at.close());

describe('whoever can write into the ledger, and has the credential key', () => {
  it('opens doors, and has written down each of them first', async () => {
    const { holder, credential } = await forge(at);
    const { place } = await at.verify(credential, { holder });
    assert.ok(place.index < place.checkpoint.size);
  });

  const day = 86_400;
  const harmless: readonly [string, object][] = [
    ['that names fewer scopes', { scopes: ['device.inspect'] }],
    ['that names the scopes in another order', { scopes: ['device.reboot', 'device.inspect'] }],
    ['that names the scopes as one text', { scopes: 'device.inspect device.reboot' }],
    ['that names no scopes', { scopes: undefined }],
    ['for another grant', { grant: newId('grant', testStart) }],
    ['for another device', { device: newId('device', testStart) }],
    ['for another tenant', { tenant: newId('tenant', testStart) }],
    ['for another person', { person: newId('person', testStart) }],
    ['of another credential', { credential: Buffer.alloc(32).toString('base64url') }],
    ['with another `jti`', { jti: newId('credential', testStart) }],
    ['that began earlier', { nbf: testStart / 1_000 - day }],
    ['that was issued earlier', { iat: testStart / 1_000 - day }],
    ['that is over', { exp: testStart / 1_000 - day }],
    ['of another type', { type: 'grant.released' }],
    ['of another version', { v: 2 }],
  ];
  for (const [what, event] of harmless) {
    it(`opens none with a powerful credential and a leaf ${what}`, async () => {
      const { holder, credential } = await forge(at);
      const receipt = [headerOf(await at.broker.ledger.receipt(credential, { event }))];
      await refusedWith('bad-receipt', at.verify(credential, { holder, receipt }));
    });
  }

  it('opens none with a leaf that two readers could read as two things', async () => {
    const { holder, credential } = await forge(at);
    const spoilt = [
      (event: object) => JSON.stringify(event),
      (event: object) => `${JSON.stringify(event)}\n`,
      (event: object) => JSON.stringify(event).replace('{', '{"scopes":["device.inspect"],'),
      () => 'null',
      () => '',
    ];
    for (const write of spoilt) {
      const receipt = [headerOf(await at.broker.ledger.receipt(credential, { write }))];
      await refusedWith('bad-receipt', at.verify(credential, { holder, receipt }));
    }
  });
});
