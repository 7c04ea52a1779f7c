import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { newDoorstep, refusedWith, type Doorstep, type PresentChanges } from './support/doorstep.ts';
import { testStart } from './support/test-clock.ts';

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

  it('takes a proof from the millisecond of its first list, and from none before', async () => {
    const start = at.liveGrants.startedAt()!;
    const made = async (milliseconds: number) =>
      at.verify(await at.credential(), { proofClaims: { iat: milliseconds / 1_000 } });
    await made(start);
    await refusedWith('bad-proof', made(start - 1));
    at.clock.pass(30_000);
    await at.connect();
    await made(start);
    await refusedWith('bad-proof', made(start - 1));
  });

  it('takes a proof until the millisecond it is a minute old, and from ten seconds before it is made', async () => {
    at.clock.pass(120_000);
    await at.connect();
    const credential = await at.credential();
    const made = async (ago: number) => at.verify(credential, { proofClaims: { iat: (at.clock.now() - ago) / 1_000 } });
    await made(60_000);
    await refusedWith('bad-proof', made(60_001));
    await made(-10_000);
    await refusedWith('bad-proof', made(-10_001));
  });

  it('refuses a proof again for as long as it could count, whatever its clocks were set to meanwhile', async () => {
    const presented = await at.present(await at.credential());
    await at.verifier.verifyCredential(presented);
    for (const [passed, jumped] of [
      [1, -3_600_000],
      [9_999, 3_600_000],
      [20_000, 0],
      [29_000, -1],
    ] as const) {
      at.clock.jump(jumped);
      at.clock.pass(passed);
      await at.connect();
      await refusedWith('replayed-proof', at.verifier.verifyCredential(presented));
    }
    at.clock.pass(2_000);
    await at.connect();
    await refusedWith('bad-proof', at.verifier.verifyCredential(presented));
  });

  it('forgets no proof because the wall clock ran ahead for a moment', async () => {
    const presented = await at.present(await at.credential());
    await at.verifier.verifyCredential(presented);
    at.clock.jump(120_000);
    await refusedWith('stale-live-grants', at.verify(await at.credential(), proofOfItsTime(at)));
    at.clock.jump(-120_000);
    await at.connect();
    await refusedWith('replayed-proof', at.verifier.verifyCredential(presented));
  });

  it('remembers a proof that was taken while the clock was ahead for as long as it can come again', async () => {
    at.clock.jump(50_000);
    const presented = await at.present(await at.credential(), { proofClaims: { iat: testStart / 1_000 + 60 } });
    await at.verifier.verifyCredential(presented);
    at.clock.jump(-50_000);
    for (let second = 0; second < 125; second += 5) {
      await at.connect();
      const again = at.verifier.verifyCredential(presented);
      await refusedWith(second < 50 || second > 120 ? 'bad-proof' : 'replayed-proof', again);
      at.clock.pass(5_000);
    }
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
