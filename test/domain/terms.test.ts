import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatchkeyError } from '../../src/domain/errors.ts';
import type { DeviceId } from '../../src/domain/ids.ts';
import { narrowest, type Narrow, type Terms } from '../../src/domain/terms.ts';

const devices = ['dev_a', 'dev_b', 'dev_c'] as DeviceId[];
const asked: Terms = { duration: 600, scopes: ['inspect', 'reboot', 'reset'], devices };
const [a, b] = devices as [DeviceId, DeviceId];

test('without narrowing the terms are those asked for', () => {
  assert.deepEqual(narrowest(asked, []), asked);
  assert.deepEqual(narrowest(asked, [null, {}, null]), asked);
});

test('the narrowest of all approvals holds, in each respect by itself', () => {
  const narrows: Narrow[] = [
    { duration: 300, scopes: ['reset', 'inspect'] },
    { duration: 400, devices: [b, a] },
    { scopes: ['inspect', 'reboot'] },
  ];
  assert.deepEqual(narrowest(asked, narrows), { duration: 300, scopes: ['inspect'], devices: [a, b] });
});

test('the order of approvals makes no difference', () => {
  const narrows: Narrow[] = [{ duration: 300 }, { scopes: ['reboot', 'reset'] }, { duration: 60, scopes: ['reset'] }];
  assert.deepEqual(narrowest(asked, narrows), narrowest(asked, narrows.toReversed()));
});

const refused: [string, Narrow[], string][] = [
  ['longer than asked', [{ duration: 601 }], '/narrow/duration'],
  ['of no duration', [{ duration: 0 }], '/narrow/duration'],
  ['of a scope that was not asked for', [{ scopes: ['inspect', 'shell'] }], '/narrow/scopes/1'],
  ['of a device that was not asked for', [{ devices: ['dev_z' as DeviceId] }], '/narrow/devices/0'],
  ['of no scopes', [{ scopes: [] }], '/narrow/scopes'],
  ['of no devices', [{ devices: [] }], '/narrow/devices'],
  ['that leaves no scope beside an earlier one', [{ scopes: ['inspect'] }, { scopes: ['reboot'] }], '/narrow/scopes'],
  ['that leaves no device beside an earlier one', [{ devices: [a] }, { devices: [b] }], '/narrow/devices'],
];
for (const [name, narrows, pointer] of refused) {
  test(`a narrowing ${name} is refused where it stands`, () => {
    assert.throws(
      () => narrowest(asked, narrows),
      (error) =>
        error instanceof LatchkeyError && error.code === 'invalid-request' && error.errors?.[0]?.pointer === pointer,
    );
  });
}

test('an extension can be narrowed in its duration only', () => {
  assert.equal(narrowest(asked, [{ duration: 10 }], true).duration, 10);
  for (const narrow of [{ scopes: ['inspect'] }, { devices: [a] }]) {
    assert.throws(() => narrowest(asked, [narrow], true), /duration only/);
  }
});
