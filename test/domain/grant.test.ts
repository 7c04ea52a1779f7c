import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatchkeyError } from '../../src/domain/errors.ts';
import {
  endedAt,
  extend,
  grantAt,
  release,
  requireActive,
  requireLive,
  reviewState,
  revoke,
  spanOf,
  type ActiveGrant,
  type GrantFacts,
} from '../../src/domain/grant.ts';
import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../../src/domain/ids.ts';

const at = (seconds: number, milliseconds = 0): Date => new Date(Date.UTC(2026, 2, 1, 9, 0, seconds, milliseconds));
const facts: GrantFacts = {
  id: 'grt' as GrantId,
  request: 'req' as RequestId,
  person: 'ada' as PersonId,
  tenant: 'ten' as TenantId,
  profile: 'remediate',
  devices: ['dev'] as DeviceId[],
  scopes: ['device.inspect'],
  startsAt: at(10),
  expiresAt: at(40),
  review: null,
};
const active = grantAt(facts, null, at(20)) as ActiveGrant;
const refusedWith = (code: string) => (error: unknown) => error instanceof LatchkeyError && error.code === code;

test('a grant is what the clock makes of it, to the millisecond', () => {
  const states = [at(9, 999), at(10), at(39, 999), at(40)].map((now) => grantAt(facts, null, now).state);
  assert.deepEqual(states, ['scheduled', 'active', 'active', 'expired']);
});

test('an ending before time holds, whatever the clock says later', () => {
  const revoked = revoke(active, 'chloe' as PersonId, 'enough', at(20));
  const released = release(active, 'ada' as PersonId, at(21));
  for (const [ended, state] of [[revoked, 'revoked'] as const, [released, 'released'] as const]) {
    assert.equal(grantAt(facts, ended.ending, at(99)).state, state);
    assert.throws(() => requireLive(ended), refusedWith('conflict'));
  }
  assert.deepEqual(endedAt(revoked), at(20));
  assert.deepEqual(endedAt(grantAt(facts, null, at(99))), at(40));
  assert.equal(endedAt(active), null);
});

test('what has not begun is live but not in force', () => {
  const scheduled = grantAt(facts, null, at(0));
  assert.equal(requireLive(scheduled), scheduled);
  assert.throws(() => requireActive(scheduled), /begins at 2026-03-01T09:00:10.000Z/);
  assert.throws(() => requireActive(grantAt(facts, null, at(40))), /already `expired`/);
});

test('a grant starts with the last approval or when it was asked for, never earlier', () => {
  const terms = { duration: 30, scopes: facts.scopes, devices: facts.devices };
  assert.deepEqual(spanOf(terms, null, at(5)), { startsAt: at(5), expiresAt: at(35) });
  assert.deepEqual(spanOf(terms, at(10), at(5)), { startsAt: at(10), expiresAt: at(40) });
  assert.deepEqual(spanOf(terms, at(3), at(5)), { startsAt: at(5), expiresAt: at(35) });
});

test('an extension is added to the end, within both bounds', () => {
  const end = (duration: number, longest: number, longestTotal: number): Date =>
    extend(active, { duration, longest, longestTotal }, at(20)).expiresAt;
  assert.deepEqual(end(5, 100, 100), at(45));
  assert.deepEqual(end(50, 30, 100), at(50), 'at most `longest` after the decision');
  assert.deepEqual(end(50, 100, 45), at(55), 'at most `longestTotal` after the start');
  assert.throws(() => end(50, 20, 100), refusedWith('conflict'));
  assert.throws(() => end(50, 100, 30), refusedWith('conflict'));
});

test('a review is due, then overdue, and done once there is a verdict', () => {
  const review = { dueAt: at(30), by: null, verdict: null };
  assert.deepEqual(
    [at(29, 999), at(30)].map((now) => reviewState(review, now)),
    ['due', 'overdue'],
  );
  const done = { ...review, by: 'chloe' as PersonId, verdict: 'unjustified' as const };
  assert.equal(reviewState(done, at(99)), 'done');
});
