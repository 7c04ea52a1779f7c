import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startChromium } from './browser.ts';
import { chromiumCandidates } from './programs.ts';

const absent = async () => ({ path: '/nowhere/chromium', env: {} });

test('a Chromium that does not start gives way to the next', async () => {
  const broken = async () => Promise.reject(new Error('the disk is full'));
  const browser = await startChromium([broken, absent, ...chromiumCandidates()]);
  assert.match(browser.version(), /^\d+\.\d+/);
  await browser.close();
});

test('without any, the tests fail with what to install and why none runs', async () => {
  await assert.rejects(startChromium([absent]), /^Error: no Chromium runs on this machine: install one, .*nowhere/s);
  await assert.rejects(startChromium([]), /no Chromium runs on this machine/);
});
