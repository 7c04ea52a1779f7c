import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockState } from '../../src/development/state-lock.ts';
import { sweep } from './test-server.ts';

test('what a killed run has left is swept away; what is held, fresh or of others stays', () => {
  const parent = mkdtempSync(join(tmpdir(), 'latchkey-sweep-'));
  const folder = (name: string): string => {
    mkdirSync(join(parent, name));
    return join(parent, name);
  };
  const left = folder('latchkey-test-left');
  const fresh = folder('latchkey-test-fresh');
  const foreign = folder('something-else');
  const held = folder('latchkey-test-held');
  const lock = lockState(held);
  for (const path of [left, foreign, held]) utimesSync(path, new Date(0), new Date(0));
  sweep(parent);
  assert.deepEqual([left, fresh, foreign, held].map(existsSync), [false, true, true, true]);
  lock.release();
  rmSync(parent, { recursive: true });
});
