import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mark } from '../../src/agent/elapsed.ts';
import { newId } from '../../src/domain/ids.ts';
import { forge, newDoorstep, refusedWith, type Doorstep } from '../agent/support/doorstep.ts';
import { newSigningKey, signToken } from '../agent/support/signing-key.ts';
import { testStart } from '../agent/support/test-clock.ts';
import { newTestLedger } from '../agent/support/test-ledger.ts';

let at: Doorstep;
before(async () => {
  at = await newDoorstep();
});
after(() => at.close());

describe('whoever has stolen the credential key', () => {
  it('opens no door with a perfect credential for a live grant', async () => {
    const { holder, credential } = await forge(at);
    await refusedWith('no-receipt', at.verify(credential, { holder, receipt: undefined }));
    await refusedWith('no-receipt', at.verify(credential, { holder, receipt: [] }));
  });

  it('opens none with the receipt of a credential that was issued', async () => {
    const issued = await at.credential();
    const { holder, credential } = await forge(at);
    const receipt = [await at.broker.ledger.header(issued)];
    await refusedWith('bad-receipt', at.verify(credential, { holder, receipt }));
  });

  it('opens none with a copy of an issued credential in which only the key is another', async () => {
    const claims = at.claims();
    const issued = await at.credential({ claims });
    const { holder, credential } = await forge(at, { ...claims, cnf: undefined });
    const copied = await forge(at, { ...claims, cnf: { jkt: holder.kid } });
    const receipt = [await at.broker.ledger.header(issued)];
    await refusedWith('bad-receipt', at.verify(copied.credential, { holder, receipt }));
    await refusedWith('wrong-type', at.verify(credential, { holder, receipt }));
  });

  it('opens none with a ledger of their own, whatever they call it', async () => {
    const { holder, credential } = await forge(at);
    for (const origin of ['thief.test', at.broker.ledger.origin]) {
      await refusedWith('bad-receipt', at.verify(credential, { holder, ledger: newTestLedger(origin) }));
    }
  });

  it('cannot fill the ledger with refusals, neither at a session nor without one', async () => {
    const { holder, credential } = await forge(at, { grant: newId('grant', testStart) });
    const refusals = [
      await refusedWith('no-receipt', at.verify(credential, { holder, receipt: undefined })),
      await refusedWith('bad-receipt', at.verify(credential, { holder, receipt: ['AAAA'] })),
      await refusedWith('grant-not-live', at.verifier.verifyCall(await at.present(credential, { holder }))),
    ];
    for (const { subject, code } of refusals) assert.equal(subject, null, code);
  });
});

describe('whoever has stolen another key', () => {
  it('gets no credential with the ledger’s key, which proves only what a credential says', async () => {
    const thief = await newSigningKey();
    const credential = await at.credential({ key: thief, claims: { cnf: { jkt: at.holder.kid } } });
    await refusedWith('bad-signature', at.verify(credential));
    const underKnownName = await at.credential({ key: thief, header: { kid: at.broker.credentialKey.kid } });
    await refusedWith('bad-signature', at.verify(underKnownName));
  });

  it('gets no credential with the statement key, though it can list any grant as live', async () => {
    const { statementKey } = at.broker;
    const grant = newId('grant', testStart);
    await at.broker.push([at.listed(), at.listed({ id: grant })]);
    await at.liveGrants.accept(await at.broker.statement(), mark(at.clock));
    await refusedWith('bad-signature', at.verify(await at.credential({ key: statementKey, claims: { grant } })));
    const header = { typ: 'at+jwt', kid: at.broker.credentialKey.kid };
    await refusedWith('bad-signature', at.verify(await signToken(statementKey, header, at.claims())));
  });
});
