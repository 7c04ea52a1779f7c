import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mark } from '../../src/agent/elapsed.ts';
import { verifyDpopProof } from '../../src/domain/dpop.ts';
import { newId } from '../../src/domain/ids.ts';
import { doorUrl, newDoorstep, refusedWith, type Doorstep } from '../agent/support/doorstep.ts';
import { makeProof, signToken } from '../agent/support/signing-key.ts';
import { testStart } from '../agent/support/test-clock.ts';

let at: Doorstep;
before(async () => {
  at = await newDoorstep();
});
after(() => at.close());

/** Every other kind of JWT there is between broker, device and people, with the claims of a credential put in. */
const kinds = [
  'JWT',
  'jwt',
  'AT+JWT',
  'application/at+jwt',
  'live-grants+jwt',
  'latchkey-agent+jwt',
  'latchkey-event+jwt',
  'latchkey-enrolment+jwt',
  'client-authentication+jwt',
  'dpop+jwt',
  'statuslist+jwt',
  'secevent+jwt',
  undefined,
];

describe('a JWT of another kind', () => {
  it('is no credential, even signed by the credential key and with a credential’s claims', async () => {
    for (const typ of kinds) await refusedWith('wrong-type', at.verify(await at.credential({ header: { typ } })));
  });

  it('is no credential when it is the broker’s own statement or token for the agent', async () => {
    await refusedWith('wrong-type', at.verify(await at.broker.statement()));
    const key = at.broker.statementKey;
    await refusedWith('wrong-type', at.verify(await at.credential({ key, header: { typ: 'latchkey-agent+jwt' } })));
  });

  it('is no statement of live grants', async () => {
    const { statementKey } = at.broker;
    const statement = await at.broker.statement({ version: 2 });
    const payload = Buffer.from(statement.split('.')[1]!, 'base64url').toString();
    for (const typ of [...kinds.filter((kind) => kind !== 'live-grants+jwt'), 'at+jwt']) {
      const other = await signToken(statementKey, { typ, kid: statementKey.kid }, payload);
      await assert.rejects(at.liveGrants.accept(other, mark(at.clock)), { name: 'StatementError' }, String(typ));
    }
    await assert.rejects(at.liveGrants.accept(await at.credential(), mark(at.clock)), { name: 'StatementError' });
  });

  it('is no proof, and a proof is no credential', async () => {
    const credential = await at.credential();
    const place = { method: 'POST', url: `${doorUrl}/sessions` };
    const proof = await makeProof(at.holder, { ...place, credential, now: at.clock.now() });
    await refusedWith('bad-signature', at.verify(proof));
    for (const typ of [...kinds.filter((kind) => kind !== 'dpop+jwt'), 'at+jwt']) {
      await refusedWith('bad-proof', at.verify(credential, { proofHeader: { typ } }));
    }
    const verdict = verifyDpopProof({ ...place, proof: credential, now: at.clock.now() });
    assert.equal(verdict.ok, false);
  });
});

describe('a credential that is good elsewhere', () => {
  const mandatory: readonly [string, unknown, Parameters<typeof refusedWith>[0]][] = [
    ['iss', undefined, 'wrong-issuer'],
    ['iss', 'http://127.0.0.1:7400', 'wrong-issuer'],
    ['aud', undefined, 'wrong-device'],
    ['aud', 'urn:latchkey:device:', 'wrong-device'],
    ['aud', `urn:latchkey:device:${newId('device', testStart)}`, 'wrong-device'],
    ['tenant', undefined, 'wrong-device'],
    ['tenant', newId('tenant', testStart), 'wrong-device'],
    ['client_id', 'another', 'wrong-type'],
    ['scope', undefined, 'wrong-type'],
    ['scope', '', 'wrong-type'],
    ['scope', ['device.inspect'], 'wrong-type'],
    ['grant', newId('grant', testStart), 'grant-not-live'],
    ['sub', newId('person', testStart), 'grant-not-live'],
    ['exp', undefined, 'expired'],
    ['nbf', undefined, 'not-yet-valid'],
    ['iat', undefined, 'not-yet-valid'],
    ['cnf', undefined, 'wrong-type'],
    ['cnf', { jwk: {} }, 'wrong-type'],
  ];
  for (const [claim, value, code] of mandatory) {
    it(`is refused here as \`${code}\` with \`${claim}\` ${JSON.stringify(value) ?? 'missing'}`, async () => {
      await refusedWith(code, at.verify(await at.credential({ claims: { [claim]: value } })));
    });
  }

  it('is refused with this device among several audiences, or with another key beside its own', async () => {
    const aud = [`urn:latchkey:device:${at.broker.device}`, 'urn:latchkey:device:other'];
    await refusedWith('wrong-device', at.verify(await at.credential({ claims: { aud } })));
    await refusedWith('wrong-device', at.verify(await at.credential({ claims: { aud: aud.slice(0, 1) } })));
    const cnf = { jkt: at.holder.kid, jwk: {} };
    await refusedWith('wrong-type', at.verify(await at.credential({ claims: { cnf } })));
  });

  it('allows the actions it names and none that merely look like them', async () => {
    const credential = await at.credential();
    await at.verify(credential, { scope: 'device.reboot' });
    for (const scope of [
      'device',
      'device.reboot2',
      'DEVICE.REBOOT',
      'device.inspect device.reboot',
      '',
      '__proto__',
    ]) {
      await refusedWith('scope-missing', at.verify(credential, { scope }));
    }
  });
});
