import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../../src/domain/ids.ts';
import { subjectsOf } from '../../src/ledger/subjects.ts';

test('an event speaks of each id in it once, and of nothing that only looks like one', () => {
  const [device, grant, event] = [newId('device', 1), newId('grant', 2), newId('event', 3)];
  const bent = ['8zzzzzzzzzzzzzzzzzzzzzzzzz', '7iiiiiiiiiiiiiiiiiiiiiiiii'].map((letters) => `dev_${letters}`);
  const bytes = Buffer.from(
    JSON.stringify({ device, devices: [device], grant, event, bent, said: `"${grant}x"`, é: '' }),
  );
  assert.deepEqual(subjectsOf(bytes), [device, grant]);
});
