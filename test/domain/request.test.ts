import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatchkeyError } from '../../src/domain/errors.ts';
import type { DeviceId, PersonId, RequestId, TenantId } from '../../src/domain/ids.ts';
import {
  approve,
  approvedBy,
  isRepeat,
  lapseTime,
  openStages,
  requestAt,
  requirePending,
  stagesFor,
  type PendingRequest,
  type StageDecision,
} from '../../src/domain/request.ts';

const [ada, chloe, dmitri, carmen] = ['ada', 'chloe', 'dmitri', 'carmen'] as PersonId[] as [
  PersonId,
  PersonId,
  PersonId,
  PersonId,
];
const at = (seconds: number): Date => new Date(Date.UTC(2026, 2, 1, 9, 0, seconds));
const pending: PendingRequest = {
  id: 'req' as RequestId,
  state: 'pending',
  profile: 'remote-admin',
  tenant: 'ten' as TenantId,
  devices: ['dev'] as DeviceId[],
  duration: 60,
  scopes: ['device.inspect'],
  dataClasses: [],
  reason: null,
  ticket: null,
  requester: ada,
  createdAt: at(0),
  startsAt: null,
  lapsesAt: at(30),
  extends: null,
  stages: [
    { name: 'lead', from: ['room-leads'], needs: 2 },
    { name: 'customer', from: ['customer-approvers:contoso'], needs: 1 },
  ],
  decisions: [],
};
const yes = (by: PersonId, stage: string): StageDecision => ({
  by,
  verdict: 'approve',
  stage,
  comment: null,
  narrow: null,
  at: at(1),
});
const same = (a: PersonId, b: PersonId): boolean => a === b;
const refusedWith = (code: string) => (error: unknown) => error instanceof LatchkeyError && error.code === code;

test('a request lapses at its very moment, not a millisecond earlier', () => {
  const before = new Date(at(30).getTime() - 1);
  assert.equal(requestAt(pending, { state: 'pending' }, before).state, 'pending');
  assert.equal(requestAt(pending, { state: 'pending' }, at(30)).state, 'lapsed');
  assert.equal(requestAt(pending, { state: 'denied' }, at(99)).state, 'denied', 'what was decided in time stays so');
});

test('only what is pending is decided, and the conflict says what became of it', () => {
  assert.equal(requirePending(pending), pending);
  for (const state of ['denied', 'cancelled', 'lapsed'] as const) {
    assert.throws(() => requirePending({ ...pending, state }), new RegExp(`\`${state}\``));
  }
});

test('a stage is open until it has what it needs', () => {
  const names = (request: PendingRequest): string[] => openStages(request).map(({ name }) => name);
  assert.deepEqual(names(pending), ['lead', 'customer']);
  const one = { ...pending, decisions: [yes(chloe, 'lead'), yes(carmen, 'customer')] };
  assert.deepEqual(names(one), ['lead']);
  assert.deepEqual(approvedBy(one, 'lead'), [chloe]);
  assert.deepEqual(names({ ...one, decisions: [...one.decisions, yes(dmitri, 'lead')] }), []);
});

test('a verdict is about the open stages first, or the one that is named', () => {
  const one = { ...pending, decisions: [yes(chloe, 'lead'), yes(dmitri, 'lead')] };
  assert.deepEqual(
    stagesFor(one, null).map(({ name }) => name),
    ['customer', 'lead'],
  );
  assert.deepEqual(
    stagesFor(one, 'lead').map(({ name }) => name),
    ['lead'],
  );
  assert.throws(() => stagesFor(one, 'privacy'), refusedWith('invalid-request'));
});

test('an approval of a passed stage is a conflict rather than one too many', () => {
  const passed = { ...pending, decisions: [yes(carmen, 'customer')] };
  assert.throws(() => approve(passed, yes(chloe, 'customer'), same), refusedWith('conflict'));
});

test('saying the same again is a repeat, as long as it stands', () => {
  const one = { ...pending, decisions: [yes(chloe, 'lead')] };
  assert.ok(isRepeat(one, chloe, 'approve', null));
  assert.ok(isRepeat(one, chloe, 'approve', 'lead'));
  assert.ok(!isRepeat(one, chloe, 'approve', 'customer'));
  assert.ok(!isRepeat(one, chloe, 'deny', null));
  assert.ok(!isRepeat(one, dmitri, 'approve', null));
  for (const state of ['denied', 'cancelled', 'lapsed'] as const) {
    assert.ok(!isRepeat({ ...one, state }, chloe, 'approve', null), state);
  }
});

test('a scheduled request does not lapse before it would start', () => {
  assert.deepEqual(lapseTime(at(0), 30, null), at(30));
  assert.deepEqual(lapseTime(at(0), 30, at(20)), at(30));
  assert.deepEqual(lapseTime(at(0), 30, at(45)), at(45));
});
