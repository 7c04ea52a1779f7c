import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openOutbox, type Change, type Outbox } from '../../src/agent/outbox.ts';
import { createPatientOutbox, type PatientOutbox } from '../../src/agent/patient-outbox.ts';
import { newId, type EventId } from '../../src/domain/ids.ts';
import { eventually } from './program/support.ts';

let disk: Outbox;
let isFull: boolean;
let patient: PatientOutbox;
beforeEach(() => {
  disk = openOutbox(null);
  isFull = false;
  const write = (changes: readonly Change[]): void => {
    if (isFull) throw new Error('database or disk is full');
    disk.write(changes);
  };
  patient = createPatientOutbox({ ...disk, write }, () => undefined);
});
afterEach(() => patient.close());

const [session, grant] = [newId('session', 0), newId('grant', 0)];
const telling = (id: EventId = newId('event', 0)) => ({ tell: { id, type: 'session.ended', statement: id } }) as const;
const given = (...changes: Change[]): Promise<readonly Change[]> => Promise.resolve(changes);
const waiting = (outbox: Pick<Outbox, 'first'> = patient) => outbox.first(50, 1e6).map(({ id }) => id);

describe('an outbox whose disk is full for a while', () => {
  it('gives up what has not happened, keeps what has, and tells it before what comes later', async () => {
    const [one, two, three, four] = [telling(), telling(), telling(), telling()];
    await patient.write(given(one));
    isFull = true;
    const before = [patient.keep(given(two)), patient.write(given(telling())), patient.keep(given(three))] as const;
    await assert.rejects(before[1], /full/);
    await Promise.all([before[0], before[2]]);
    assert.ok(!patient.isWritten());
    assert.deepEqual(waiting(), [one.tell.id], 'what is on the disk comes first');
    patient.told(patient.first(50, 1e6));
    assert.deepEqual(waiting(), [two.tell.id, three.tell.id]);
    isFull = false;
    await patient.write(given(four));
    assert.ok(patient.isWritten());
    assert.deepEqual(waiting(disk), [two.tell.id, three.tell.id, four.tell.id]);
  });

  it('writes by itself what it kept, as soon as it can', async () => {
    const one = telling();
    isFull = true;
    await patient.keep(given(one));
    isFull = false;
    await eventually(() => patient.isWritten());
    assert.deepEqual(waiting(disk), [one.tell.id]);
  });

  it('still owes on the disk what was told from memory, until it can write that it was', async () => {
    const id = newId('event', 0);
    const event = { type: 'session.ended', session, grant, cause: 'agent-died', lagMs: 0 } as const;
    await patient.write(given({ owe: { id, at: 0, event } }));
    isFull = true;
    await patient.keep(given(telling(id)));
    patient.told(patient.first(50, 1e6));
    assert.deepEqual(waiting(), []);
    assert.equal(disk.owed().length, 1);
    assert.ok(!patient.isWritten());
    isFull = false;
    await patient.keep(given());
    assert.deepEqual([disk.owed(), waiting(disk)], [[], []]);
  });

  it('lets nothing that could not be signed hold up the rest', async () => {
    const one = telling();
    const unsigned = patient.keep(Promise.reject(new Error('no key')));
    const signed = patient.keep(given(one));
    await assert.rejects(unsigned, /no key/);
    await signed;
    assert.deepEqual(waiting(disk), [one.tell.id]);
  });
});
