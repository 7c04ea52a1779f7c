import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { mark } from '../../src/agent/elapsed.ts';
import { createLiveGrants } from '../../src/agent/live-grants.ts';
import type { HighWater } from '../../src/agent/live-grants-statement.ts';
import { newId } from '../../src/domain/ids.ts';
import { newDoorstep, refusedWith, scopes, type Doorstep } from './support/doorstep.ts';
import { newSigningKey, signToken } from './support/signing-key.ts';
import { testStart } from './support/test-clock.ts';

let at: Doorstep;
beforeEach(async () => {
  at = await newDoorstep();
});
afterEach(() => at.close());

const isLive = () => at.liveGrants.live(at.grant, at.person, scopes) !== null;
const refused = (statement: string, why: RegExp) =>
  assert.rejects(at.liveGrants.accept(statement, mark(at.clock)), { name: 'StatementError', message: why });

describe('a statement of live grants', () => {
  const iat = testStart / 1_000;
  const wrong: readonly [string, object, RegExp][] = [
    ['another issuer', { iss: 'https://other.example' }, /another issuer/],
    ['another device', { aud: `urn:latchkey:device:${newId('device', testStart)}` }, /another device/],
    ['several devices', { aud: [`urn:latchkey:device:${newId('device', testStart)}`] }, /another device/],
    ['no time of reading', { iat: undefined }, /no time/],
    ['no end', { exp: undefined }, /no time/],
    ['an end before its beginning', { exp: iat - 1 }, /no time/],
    ['a life of more than a minute', { exp: iat + 60.001 }, /longer than 60 s/],
    ['no version', { version: undefined }, /no version/],
    ['a version that is a text', { version: '2' }, /no version/],
    ['a version more than a minute ahead of its time', { version: testStart + 60_001 }, /60 s ahead/],
    ['no keys', { keys: undefined }, /no list of keys/],
    ['no grants', { grants: undefined }, /no list of grants/],
    ['something that is no grant', { grants: [null] }, /no grant/],
    [
      'a grant without an end',
      { grants: [{ id: newId('grant', 1), person: newId('person', 1), scopes: [] }] },
      /no grant/,
    ],
  ];
  for (const [what, claims, why] of wrong) {
    it(`is refused with ${what}`, async () => {
      await refused(await at.broker.statement({ version: 2, ...claims }), why);
      assert.ok(isLive(), 'what was live stays so until its own end');
    });
  }

  it('is refused when it lists a grant twice', async () => {
    await refused(await at.broker.statement({ version: 2, grants: [at.listed(), at.listed()] }), /twice/);
  });

  it('is refused from a key that is unknown, and from one that signs credentials', async () => {
    const stranger = await newSigningKey();
    const statement = await at.broker.statement();
    const payload = Buffer.from(statement.split('.')[1]!, 'base64url').toString();
    for (const key of [stranger, at.broker.credentialKey]) {
      await refused(await signToken(key, { typ: 'live-grants+jwt', kid: key.kid }, payload), /may not sign/);
    }
    const { kid } = at.broker.statementKey;
    await refused(await signToken(stranger, { typ: 'live-grants+jwt', kid }, payload), /does not verify/);
  });

  it('is refused under another type', async () => {
    await refused(await at.broker.statement({}, { typ: 'at+jwt' }), /no `live-grants\+jwt`/);
  });

  it('takes effect with a higher version, and an earlier one cannot come back', async () => {
    const old = await at.broker.statement();
    await at.broker.push([]);
    await at.connect();
    assert.ok(!isLive());
    await refused(old, /earlier version/);
    assert.ok(!isLive());
  });

  it('is prolonged by an equal version with equal grants, in whatever order', async () => {
    const other = { ...at.listed(), id: newId('grant', testStart) };
    await at.broker.push([at.listed(), other]);
    await at.connect();
    at.clock.pass(50_000);
    at.broker.grants = [other, at.listed({ scopes: scopes.toReversed() })];
    await at.connect();
    at.clock.pass(50_000);
    assert.ok(isLive());
  });

  it('is refused when an equal version says something else', async () => {
    for (const grants of [[], [at.listed({ scopes: [...scopes, 'usb.reset'] })]]) {
      await refused(await at.broker.statement({ grants }), /without a new version/);
    }
  });

  it('is refused when it was read long before one already seen, so that an old list cannot set the clock back', async () => {
    const old = await at.broker.statement();
    at.clock.pass(30_000);
    await at.connect();
    await refused(old, /before one already seen/);
  });

  it('is good for a minute, and no longer for being served again to each new connection', async () => {
    const old = await at.broker.statement();
    for (let tries = 0; tries < 8; tries++) {
      await at.liveGrants.accept(old, mark(at.clock));
      at.clock.pass(7_000);
    }
    assert.ok(isLive());
    at.clock.pass(4_100);
    assert.ok(!isLive(), 'sixty seconds have passed since it was read');
    await refused(old, /has run out/);
    at.clock.jump(-3_600_000);
    await refused(old, /has run out/);
    await at.connect();
    assert.ok(isLive());
    assert.ok(Math.abs(at.liveGrants.now()! - at.clock.now()) < 100);
  });

  it('sets the clock right again after the wall clock was wrong for a while', async () => {
    at.clock.jump(45_000);
    assert.equal(at.liveGrants.now(), testStart + 45_000);
    at.clock.pass(5_000);
    await at.connect();
    assert.equal(at.liveGrants.now(), testStart + 5_000);
    at.clock.jump(-90_000);
    at.clock.pass(5_000);
    assert.equal(at.liveGrants.now(), testStart + 10_000);
  });

  it('opens the door again after days without a broker, though this machine’s clock goes a little fast', async () => {
    const days = 10 * 86_400_000;
    at.clock.pass(days);
    const slow = at.clock.now() - days * 0.0002;
    at.broker.now = () => slow;
    await at.connect();
    assert.ok(at.liveGrants.current());
    assert.equal(at.liveGrants.now(), slow);
  });

  it('that was held back on the way is as old as it is', async () => {
    const held = await at.broker.statement({ version: 2 });
    at.clock.pass(59_999);
    await at.liveGrants.accept(held, null);
    assert.ok(at.liveGrants.current());
    at.clock.pass(1);
    assert.equal(at.liveGrants.current(), null);
  });

  it('is refused once it has run out, by the time that passed since it was asked for', async () => {
    const statement = await at.broker.statement();
    const asked = mark(at.clock);
    at.clock.pass(60_000);
    await assert.rejects(at.liveGrants.accept(statement, asked), /has run out/);
  });

  it('sets no clock when nobody asked for it', async () => {
    const statement = await at.broker.statement({ version: 2 });
    at.clock.pass(40_000);
    await at.liveGrants.accept(statement, null);
    assert.equal(at.liveGrants.now(), testStart + 40_000);
  });

  it('shows a clock that it is slow, and sets it forward, never back', async () => {
    at.clock.pass(10_000);
    const ahead = testStart / 1_000 + 13;
    await at.liveGrants.accept(await at.broker.statement({ iat: ahead, exp: ahead + 60 }), null);
    assert.equal(at.liveGrants.now(), testStart + 13_000);
    const behind = testStart / 1_000 + 11;
    await at.liveGrants.accept(await at.broker.statement({ iat: behind, exp: behind + 60 }), null);
    assert.equal(at.liveGrants.now(), testStart + 13_000);
  });

  it('is judged one after the other, so that of two at once the later version stays', async () => {
    const next = await at.broker.statement({ version: 2, grants: [] });
    const same = await at.broker.statement({ version: 1 });
    const [, second] = await Promise.allSettled([
      at.liveGrants.accept(next, mark(at.clock)),
      at.liveGrants.accept(same, mark(at.clock)),
    ]);
    assert.equal(second.status, 'rejected');
    assert.ok(!isLive());
  });
});

describe('a live grant', () => {
  it('is live for its person alone and within its scopes alone', () => {
    const { liveGrants, grant, person } = at;
    assert.ok(liveGrants.live(grant, person, ['device.reboot']));
    assert.equal(liveGrants.live(grant, newId('person', testStart), scopes), null);
    assert.equal(liveGrants.live(newId('grant', testStart), person, scopes), null);
    assert.equal(liveGrants.live(grant, person, [...scopes, 'usb.reset']), null);
  });

  it('makes a credential with more scopes than listed useless', async () => {
    const credential = await at.credential({ claims: { scope: `${scopes.join(' ')} usb.reset` } });
    await refusedWith('grant-not-live', at.verify(credential));
  });

  it('makes a credential of another person useless', async () => {
    const credential = await at.credential({ claims: { sub: newId('person', testStart) } });
    await refusedWith('grant-not-live', at.verify(credential));
  });
});

describe('after a restart', () => {
  const restarted = (seen: HighWater | null, remember: (next: HighWater) => Promise<void> = async () => undefined) =>
    createLiveGrants({
      issuer: at.broker.url,
      device: at.broker.device,
      keys: at.keys,
      seen,
      remember,
      clocks: at.clock,
    });

  it('nothing is live until a list was read', () => {
    assert.equal(restarted(null).live(at.grant, at.person, scopes), null);
  });

  it('the highest version ever seen still counts', async () => {
    let kept: HighWater | null = null;
    const before = restarted(null, async (next) => {
      kept = next;
    });
    const old = await at.broker.statement();
    await before.accept(await at.broker.statement({ version: 9 }), mark(at.clock));
    assert.deepEqual(kept, { version: 9, iat: testStart });
    await assert.rejects(restarted(kept).accept(old, mark(at.clock)), /earlier version/);
  });

  it('a list that answers nothing cannot be the first', async () => {
    await assert.rejects(restarted(null).accept(await at.broker.statement(), null), /asked for/);
  });

  it('an agent that cannot remember what it saw shuts its door', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'latchkey-'));
    let isFull = false;
    const agent = restarted(null, async (next) => {
      if (isFull) throw new Error('no space left on device');
      await writeFile(join(directory, 'seen'), JSON.stringify(next));
    });
    await agent.accept(await at.broker.statement(), mark(at.clock));
    assert.ok(agent.live(at.grant, at.person, scopes));
    isFull = true;
    await assert.rejects(agent.accept(await at.broker.statement({ version: 2 }), mark(at.clock)), /no space/);
    assert.equal(agent.live(at.grant, at.person, scopes), null);
    await rm(directory, { recursive: true });
  });
});
