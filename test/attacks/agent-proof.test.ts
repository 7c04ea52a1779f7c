import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Refusal } from '../../src/agent/refusal.ts';
import { doorUrl, newDoorstep, refusedWith, type Doorstep, type PresentChanges } from '../agent/support/doorstep.ts';
import { makeProof, newSigningKey, sha256 } from '../agent/support/signing-key.ts';

let at: Doorstep;
before(async () => {
  at = await newDoorstep();
});
after(() => at.close());

describe('the proof of a credential’s key', () => {
  it('lets one of fifty uses at once through, and none of them ever again', async () => {
    const presented = await at.present(await at.credential());
    const uses = Array.from({ length: 50 }, () => at.verifier.verifyCredential(presented));
    const outcomes = await Promise.allSettled(uses);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.equal((outcome.reason as Refusal).code, 'replayed-proof');
    }
    at.clock.pass(10_000);
    await refusedWith('replayed-proof', at.verifier.verifyCredential(presented));
  });

  it('is used up under its `jti`, whatever else is signed around it', async () => {
    const credential = await at.credential();
    await at.verify(credential, { proofClaims: { jti: 'once' } });
    await refusedWith('replayed-proof', at.verify(credential, { proofClaims: { jti: 'once', note: 'another text' } }));
    await refusedWith('replayed-proof', at.verify(await at.credential(), { proofClaims: { jti: 'once' } }));
  });

  it('is used up by a call that is refused for what comes after it', async () => {
    const presented = await at.present(await at.credential(), { scope: 'secret.read:local-admin' });
    await refusedWith('scope-missing', at.verifier.verifyCredential(presented));
    await refusedWith('replayed-proof', at.verifier.verifyCredential({ ...presented, scope: null }));
  });

  const now = () => at.clock.now() / 1_000;
  const wrong: readonly [string, () => PresentChanges][] = [
    ['for another method', () => ({ proofClaims: { htm: 'PUT' } })],
    ['for a method in small letters', () => ({ proofClaims: { htm: 'post' } })],
    ['for another path', () => ({ proofClaims: { htu: `${doorUrl}/sessions/ses_1` } })],
    ['for another door', () => ({ proofClaims: { htu: 'http://127.0.0.1:9444/sessions' } })],
    ['for another scheme', () => ({ proofClaims: { htu: `${doorUrl.replace('http', 'https')}/sessions` } })],
    ['for a host in disguise', () => ({ proofClaims: { htu: 'http://0x7f.1:9443/sessions' } })],
    [
      'for a host behind user information',
      () => ({ proofClaims: { htu: 'http://127.0.0.1:9443@other.example/sessions' } }),
    ],
    ['for another credential', () => ({ proofClaims: { ath: sha256('another') } })],
    ['for no credential', () => ({ proofClaims: { ath: undefined } })],
    ['without `jti`', () => ({ proofClaims: { jti: undefined } })],
    ['with an empty `jti`', () => ({ proofClaims: { jti: '' } })],
    ['without `iat`', () => ({ proofClaims: { iat: undefined } })],
    ['with an `iat` that is a text', () => ({ proofClaims: { iat: String(now()) } })],
    ['too old', () => ({ proofClaims: { iat: now() - 61 } })],
    ['from the future', () => ({ proofClaims: { iat: now() + 11 } })],
    [
      'with a private key in it',
      () => ({ proofHeader: { jwk: { ...at.holder.publicJwk, d: at.holder.publicJwk.x } } }),
    ],
    ['without a key in it', () => ({ proofHeader: { jwk: undefined } })],
    ['with a symmetric key in it', () => ({ proofHeader: { jwk: { kty: 'oct', k: 'AAAA' } } })],
    ['that is missing', () => ({ proof: [] })],
    ['that is empty', () => ({ proof: [''] })],
    ['that is no JWT', () => ({ proof: ['proof'] })],
  ];
  for (const [what, change] of wrong) {
    it(`is refused ${what}`, async () => {
      await refusedWith('bad-proof', at.verify(await at.credential(), change()));
    });
  }

  it('is refused of another key, even of one that has a credential of its own', async () => {
    const thief = await newSigningKey();
    await refusedWith('bad-proof', at.verify(await at.credential(), { holder: thief }));
    const cnf = { jkt: thief.kid };
    await refusedWith('bad-proof', at.verify(await at.credential({ claims: { cnf } })));
  });

  it('is refused with the holder’s key in its header and another’s signature', async () => {
    const thief = await newSigningKey();
    const forged = { ...thief, publicJwk: at.holder.publicJwk, kid: at.holder.kid };
    await refusedWith('bad-proof', at.verify(await at.credential(), { holder: forged }));
  });

  it('is refused twice in one call, as two headers or one that was joined', async () => {
    const credential = await at.credential();
    const place = { method: 'POST', url: `${doorUrl}/sessions`, credential, now: at.clock.now() };
    const [one, two] = [await makeProof(at.holder, place), await makeProof(at.holder, place)];
    await refusedWith('bad-proof', at.verify(credential, { proof: [one, two] }));
    await refusedWith('bad-proof', at.verify(credential, { proof: [`${one}, ${two}`] }));
    await at.verify(credential, { proof: [one] });
  });
});
