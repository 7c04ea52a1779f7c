import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  createSessions,
  DoorError,
  openSession,
  type DeviceEvent,
  type Reporter,
  type Sessions,
} from '../../src/agent/index.ts';
import { newId } from '../../src/domain/ids.ts';
import { newDoorstep, refusedWith, type Doorstep, type PresentChanges } from './support/doorstep.ts';

let at: Doorstep;
let sessions: Sessions;
let told: DeviceEvent[];
let hasRoom: boolean;
beforeEach(async () => {
  at = await newDoorstep();
  told = [];
  hasRoom = true;
  sessions = createSessions({ liveGrants: at.liveGrants, reporter: reporter() });
});
afterEach(async () => {
  await sessions.stop();
  await at.close();
});

/** What was told, instead of sent: sending is another test's. */
function reporter(): Reporter {
  const report = async (event: DeviceEvent) => {
    told.push(event);
    return newId('event', at.clock.now());
  };
  return {
    report,
    async promise(_, first) {
      if (!hasRoom) throw new DoorError('unavailable', 'there is no room');
      if (first) await report(first);
      return { id: newId('event', at.clock.now()), keep: async (event) => void (await report(event)) };
    },
    hasRoom: () => hasRoom,
    recover: async () => undefined,
    hurry: () => undefined,
    flush: async () => undefined,
    stop: async () => undefined,
  };
}

async function open(credential: string, changes?: PresentChanges) {
  return openSession({ verifier: at.verifier, sessions, reporter: reporter() }, await at.present(credential, changes));
}
const types = () => told.map(({ type }) => type);

describe('a program with a door of its own', () => {
  it('gets a session for a credential that holds, and the broker is told of it first', async () => {
    const session = await open(await at.credential());
    assert.equal(session.grant, at.grant);
    assert.equal(session.person, at.person);
    assert.ok(!session.signal.aborted);
    assert.deepEqual(types(), ['session.started']);
  });

  it('sees the session end by itself when its grant leaves the list, and told only once its work is gone', async () => {
    const session = await open(await at.credential());
    const work = Promise.withResolvers<void>();
    const held = session.hold(() => work.promise);
    await at.broker.push([]);
    await at.connect();
    assert.equal(session.signal.reason, 'grant-not-live');
    assert.deepEqual(types(), ['session.started']);
    work.resolve();
    await held;
    await sessions.stop();
    assert.deepEqual(types(), ['session.started', 'session.ended']);
  });

  it('gets no session, and so no word to anyone, without the receipt', async () => {
    const credential = await at.credential();
    await refusedWith('no-receipt', open(credential, { receipt: undefined }));
    await refusedWith('bad-receipt', open(credential, { receipt: ['AAAA'] }));
    assert.deepEqual(types(), []);
  });

  it('has a refusal told that is about somebody, once', async () => {
    await refusedWith('scope-missing', open(await at.credential(), { scope: 'secret.read:local-admin' }));
    assert.deepEqual(told, [{ type: 'session.refused', code: 'scope-missing', grant: at.grant, person: at.person }]);
  });

  it('lets nobody in when too much waits to be told, or when the grant has as many sessions as it may', async () => {
    hasRoom = false;
    await assert.rejects(open(await at.credential()), DoorError);
    hasRoom = true;
    for (let i = 0; i < 8; i++) await open(await at.credential());
    await assert.rejects(open(await at.credential()), DoorError);
    assert.deepEqual(types(), Array(8).fill('session.started'));
  });

  it('opens one session with one proof, however often it is shown at once', async () => {
    const presented = await at.present(await at.credential());
    const doorkeeper = { verifier: at.verifier, sessions, reporter: reporter() };
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => openSession(doorkeeper, presented)));
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.deepEqual(types(), ['session.started']);
  });
});
