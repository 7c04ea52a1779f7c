import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { exportJWK } from 'jose';
import { deviceKeyFrom } from '../../src/agent/keys.ts';
import { openOutbox } from '../../src/agent/outbox.ts';
import { createReporter } from '../../src/agent/report.ts';
import { createSessions, type Session, type Sessions } from '../../src/agent/sessions.ts';
import { createSignIn } from '../../src/agent/sign-in.ts';
import { newDoorstep, type Doorstep } from './support/doorstep.ts';
import { newSigningKey } from './support/signing-key.ts';
import { testStart } from './support/test-clock.ts';

describe('a session', () => {
  let at: Doorstep;
  let sessions: Sessions;
  let session: Session;
  let stopReporting: () => Promise<void>;
  beforeEach(async () => {
    at = await newDoorstep();
    const { publicJwk, privateKey } = await newSigningKey();
    const key = await deviceKeyFrom({ ...publicJwk, ...(await exportJWK(privateKey)) });
    const about = { issuer: at.broker.url, device: at.broker.device, key, now: () => at.clock.now() };
    const reporter = createReporter({ ...about, signIn: createSignIn(about), outbox: openOutbox(null) });
    sessions = createSessions({ liveGrants: at.liveGrants, reporter, maxSessions: 3 });
    session = (await sessions.open(await at.verify(await at.credential())))!;
    stopReporting = () => reporter.stop(0);
  });
  afterEach(async () => {
    await sessions.stop();
    await stopReporting();
    await at.close();
  });

  it('ends in the very moment that a list without its grant is taken', async () => {
    await at.broker.push([]);
    assert.ok(!session.signal.aborted);
    await at.connect();
    assert.equal(session.signal.reason, 'grant-not-live');
  });

  it('goes on over a list that still has its grant, and follows the grant’s new end', async () => {
    at.clock.pass(5_000);
    await at.broker.push([at.listed({ expiresAt: new Date(testStart + 30_000).toISOString() })]);
    await at.connect();
    assert.ok(!session.signal.aborted);
    assert.equal(session.expiresAt(), testStart + 30_000);
    assert.equal(session.renewBefore(), testStart + 30_000 - Math.floor(25_000 / 3));
  });

  it('ends when the grant lost a scope that it was opened with', async () => {
    await at.broker.push([at.listed({ scopes: ['device.inspect'] })]);
    await at.connect();
    assert.equal(session.signal.reason, 'grant-not-live');
  });

  it('ends when the key that signed its credential is retired, unless it was renewed with one of another', async () => {
    const { credentialKey } = at.broker;
    const renewed = (await sessions.open(await at.verify(await at.credential())))!;
    at.broker.credentialKey = await newSigningKey();
    at.broker.keys.push({ key: at.broker.credentialKey, types: ['at+jwt'] });
    at.broker.validKids = [credentialKey.kid, at.broker.credentialKey.kid];
    at.clock.pass(30_000);
    await at.connect();
    assert.ok(!session.signal.aborted);
    assert.ok(sessions.renew(renewed, await at.verify(await at.credential())));
    at.broker.validKids = [at.broker.credentialKey.kid];
    await at.connect();
    assert.equal(session.signal.reason, 'bad-signature');
    assert.ok(!renewed.signal.aborted);
  });

  it('is not shortened by renewal with an older credential', async () => {
    const end = session.expiresAt();
    const exp = at.clock.now() / 1_000 + 30;
    assert.ok(sessions.renew(session, await at.verify(await at.credential({ claims: { exp } }))));
    assert.equal(session.expiresAt(), end);
  });

  it('is one of as many as the door takes', async () => {
    const verified = await at.verify(await at.credential());
    assert.ok(await sessions.open(verified));
    const third = (await sessions.open(verified))!;
    assert.equal(await sessions.open(verified), null);
    await sessions.end(third, 'closed');
    assert.ok(await sessions.open(verified));
  });

  it('that has ended can be neither found, nor renewed, nor used', async () => {
    await sessions.end(session, 'closed');
    const verified = await at.verify(await at.credential());
    assert.equal(sessions.find(session.id, verified), null);
    assert.equal(sessions.renew(session, verified), false);
    assert.equal(
      session.hold(async () => 1),
      null,
    );
  });
});
