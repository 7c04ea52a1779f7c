import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { newDoorstep, refusedWith, type Doorstep, type PresentChanges } from './support/doorstep.ts';

let at: Doorstep;
beforeEach(async () => {
  at = await newDoorstep();
});
afterEach(() => at.close());

describe('time at the door', () => {
  it('takes a credential until the millisecond before `exp` and refuses it at `exp`', async () => {
    const exp = at.clock.now() / 1_000 + 20;
    const credential = await at.credential({ claims: { exp } });
    at.clock.pass(19_999);
    await at.verify(credential);
    at.clock.pass(1);
    await refusedWith('expired', at.verify(credential));
  });

  it('refuses a credential until the millisecond before `nbf` and takes it at `nbf`', async () => {
    const nbf = at.clock.now() / 1_000 + 20;
    const credential = await at.credential({ claims: { nbf } });
    at.clock.pass(19_999);
    await refusedWith('not-yet-valid', at.verify(credential));
    at.clock.pass(1);
    await at.verify(credential);
  });

  it('takes a life of ten minutes and no second more', async () => {
    const iat = at.clock.now() / 1_000;
    await at.verify(await at.credential({ claims: { exp: iat + 600 } }));
    await refusedWith('wrong-type', at.verify(await at.credential({ claims: { exp: iat + 601 } })));
  });

  it('lets a grant act from the millisecond it starts until the one before it ends', async () => {
    const [startsAt, expiresAt] = [at.clock.now() + 10_000, at.clock.now() + 20_000];
    const listed = { startsAt: new Date(startsAt).toISOString(), expiresAt: new Date(expiresAt).toISOString() };
    await at.broker.push([at.listed(listed)]);
    await at.connect();
    const credential = await at.credential();
    at.clock.pass(9_999);
    await refusedWith('grant-not-live', at.verify(credential));
    at.clock.pass(1);
    await at.verify(credential);
    at.clock.pass(9_999);
    await at.verify(credential);
    at.clock.pass(1);
    await refusedWith('grant-not-live', at.verify(credential));
  });

  it('does not let a credential live longer when the wall clock is set back', async () => {
    const credential = await at.credential({ claims: { exp: at.clock.now() / 1_000 + 20 } });
    at.clock.pass(10_000);
    at.clock.jump(-3_600_000);
    at.clock.pass(10_000);
    await refusedWith('expired', at.verify(credential));
  });

  it('refuses everything after the wall clock was set forward, until the broker has told it the time again', async () => {
    const credential = await at.credential({ claims: { exp: at.clock.now() / 1_000 + 600 } });
    at.clock.jump(120_000);
    await refusedWith('stale-live-grants', at.verify(credential, proofOfItsTime(at)));
    await at.connect();
    await at.verify(credential);
  });

  it('counts the time a suspended machine slept, which only its wall clock knows', async () => {
    const credential = await at.credential({ claims: { exp: at.clock.now() / 1_000 + 30 } });
    at.clock.jump(31_000);
    await refusedWith('expired', at.verify(credential));
  });

  it('goes by the broker’s time when its own clock is hours wrong', async () => {
    at.clock.jump(-7_200_000);
    await at.connect();
    await at.verify(await at.credential());
    assert.equal(at.liveGrants.now(), at.clock.now());
  });

  it('refuses a proof that was made before the agent heard its first list', async () => {
    const iat = at.clock.now() / 1_000 - 1;
    await refusedWith('bad-proof', at.verify(await at.credential(), { proofClaims: { iat } }));
  });

  it('refuses a proof older than a minute and one more than ten seconds ahead', async () => {
    at.clock.pass(62_000);
    await at.connect();
    const now = at.clock.now() / 1_000;
    const credential = await at.credential();
    await at.verify(credential, { proofClaims: { iat: now - 60 } });
    await at.verify(credential, { proofClaims: { iat: now + 10 } });
    await refusedWith('bad-proof', at.verify(credential, { proofClaims: { iat: now - 61 } }));
    await refusedWith('bad-proof', at.verify(credential, { proofClaims: { iat: now + 11 } }));
  });

  it('shuts when its copy of the keys is older than a minute, though lists still come', async () => {
    const credential = await at.credential();
    at.clock.pass(59_000);
    at.broker.failing.set('GET /.well-known/jwks.json', 503);
    await at.connect();
    await at.verify(credential);
    at.clock.pass(1_001);
    assert.ok(at.liveGrants.current());
    await refusedWith('stale-live-grants', at.verify(credential));
  });

  it('shuts at the millisecond at which the last list runs out, and opens again with the next', async () => {
    const credential = await at.credential();
    at.clock.pass(59_999);
    await at.verify(credential);
    at.clock.pass(1);
    await refusedWith('stale-live-grants', at.verify(credential));
    await at.connect();
    await at.verify(credential);
  });
});

/** A client whose clock agrees with the agent's, so that nothing but the list's age is wrong. */
function proofOfItsTime({ liveGrants }: Doorstep): PresentChanges {
  return { proofClaims: { iat: Math.floor(liveGrants.now()! / 1_000) } };
}
