import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const runner = fileURLToPath(new URL('../../scripts/test.mjs', import.meta.url));

test('a test that hangs, in a file that something keeps from ending, is named, and the other files still run', () => {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-hanging-'));
  try {
    const begin = `import { test } from 'node:test';\n`;
    const hanging = `setInterval(() => {}, 1_000);\ntest('waits for nothing', () => new Promise(() => {}));\n`;
    writeFileSync(join(directory, 'hangs.test.ts'), begin + hanging);
    writeFileSync(join(directory, 'other.test.ts'), `${begin}test('runs all the same', () => {});\n`);
    const env = { ...process.env, LATCHKEY_TEST_POSTGRES: 'none is needed', LATCHKEY_TEST_TIMEOUT: '1000' };
    const { status, stdout } = spawnSync(process.execPath, [runner, directory], { env, encoding: 'utf8' });
    assert.equal(status, 1, stdout);
    assert.match(stdout, /✖ waits for nothing/);
    assert.match(stdout, /hangs\.test\.ts has not ended within 1\.5 s/);
    assert.match(stdout, /✔ runs all the same/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
