import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Client } from 'pg';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { startBrokerProcess } from '../support/broker-process.ts';
import { hangAt, letVictimsHang } from '../support/hang.ts';
import { connect } from '../support/sql.ts';
import { stateOf } from '../support/steps.ts';

let broker: TestBroker;
let holder: Client;
before(async () => {
  broker = await newTestBroker();
  holder = await connect(broker.database.superuserUrl);
  await letVictimsHang(broker);
});
after(async () => {
  await holder.end();
  await broker.stop();
});

test('killed while it records what the clock brought about, a broker loses nothing and records nothing twice', async () => {
  const running = await broker.grant('ada', 'diagnose');
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const scheduled = await broker.grant('ada', 'diagnose', { startsAt: soon });
  const waiting = await broker.ask('ada', 'remediate');
  await broker.brokers[0]!.stop();
  // An hour passes. Nobody but a superuser who poses as a replica could say so.
  await broker.sql.query(`
    BEGIN;
    SET LOCAL session_replication_role = 'replica';
    UPDATE grants SET starts_at = starts_at - interval '1 hour', expires_at = expires_at - interval '1 hour',
      started_at = started_at - interval '1 hour';
    UPDATE grant_devices SET expires_at = expires_at - interval '1 hour';
    UPDATE requests SET created_at = created_at - interval '1 hour', lapses_at = lapses_at - interval '1 hour';
    COMMIT`);

  const due = { 'grant.expired': running.id, 'grant.started': scheduled.id, 'request.lapsed': waiting.id };
  const told = async (type: keyof typeof due): Promise<number> =>
    (await broker.events(type)).filter((event) => (event.grant ?? event.request) === due[type]).length;
  const types = Object.keys(due) as (keyof typeof due)[];
  for (const event of types) {
    const hanging = await hangAt(broker, holder, event);
    const process = await startBrokerProcess(broker);
    await hanging.reached();
    // Dead by the clock all the same, whatever is written down.
    if (event === 'grant.expired') {
      const { body } = await broker.call('ada', 'GET', `/v1/grants/${running.id}`, undefined, { url: process.url });
      assert.equal(body.state, 'expired');
      const revoked = await broker.call('chloe', 'POST', `/v1/grants/${scheduled.id}/revoke`, {}, { url: process.url });
      assert.equal(revoked.status, 400);
    }
    const before = await stateOf(broker);
    await process.kill();
    await hanging.release();
    // The commit travels with the event: it had left before the kill, or it had not. All of it is there, or nothing.
    if (!isDeepStrictEqual(await stateOf(broker), before)) assert.equal(await told(event), 1, event);
    await broker.checkLedger();
  }

  const survivor = await startBrokerProcess(broker);
  try {
    for (const type of types) {
      for (let tries = 0; (await told(type)) === 0 && tries < 400; tries++) await sleep(25);
      assert.equal(await told(type), 1, type);
    }
    await sleep(600);
    assert.equal((await broker.events('grant.expired', 'request.lapsed')).length, 2);
    const { body } = await broker.call('ada', 'GET', `/v1/grants/${scheduled.id}`, undefined, { url: survivor.url });
    assert.equal(body.state, 'active');
    await broker.checkLedger();
  } finally {
    assert.equal(await survivor.stop(), 0);
  }
});
