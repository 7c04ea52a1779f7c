import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { configPath, openConfigDirectory } from '../../src/cli/config-directory.ts';
import type { Failure } from '../../src/cli/failure.ts';

let home: string;
beforeEach(() => void (home = mkdtempSync(join(tmpdir(), 'latchkey-config-'))));
afterEach(() => rmSync(home, { recursive: true, force: true }));

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

test('directory and files are their owner’s alone, whatever the umask', async () => {
  const before = process.umask(0);
  try {
    const directory = openConfigDirectory(join(home, 'a', 'latchkey'));
    await directory.write('sign-ins.json', '{}');
    assert.equal(await directory.create('key.json', 'first'), true);
    assert.equal(mode(directory.path), '700');
    assert.deepEqual(
      readdirSync(directory.path).map((name) => mode(join(directory.path, name))),
      ['600', '600'],
    );
  } finally {
    process.umask(before);
  }
});

test('a file that others may read is refused with what to do about it', async () => {
  const directory = openConfigDirectory(home);
  await directory.write('key.json', 'secret');
  chmodSync(join(home, 'key.json'), 0o640);
  await assert.rejects(directory.read('key.json'), (failure: Failure) => {
    assert.match(failure.message, /key\.json` may be read or changed by others/);
    assert.match(failure.hint ?? '', /chmod 600/);
    return true;
  });
});

test('a link in the place of a file is not followed', async () => {
  writeFileSync(join(home, 'elsewhere'), 'x', { mode: 0o600 });
  symlinkSync(join(home, 'elsewhere'), join(home, 'key.json'));
  await assert.rejects(openConfigDirectory(home).read('key.json'), /not a plain file/);
});

test('a directory that others may change is not written to, an empty one is made private', async () => {
  const empty = join(home, 'empty');
  mkdirSync(empty);
  chmodSync(empty, 0o777);
  await openConfigDirectory(empty).write('a', 'x');
  assert.equal(mode(empty), '700');
  chmodSync(empty, 0o777);
  await assert.rejects(openConfigDirectory(empty).write('a', 'y'), /may be changed by others/);
  assert.equal(await openConfigDirectory(empty).read('a'), 'x');
});

test('of several who create a file at once one wins, and all read its whole text', async () => {
  const directory = openConfigDirectory(home);
  const made = await Promise.all([1, 2, 3, 4, 5].map((n) => directory.create('key.json', `text ${n}`.repeat(1000))));
  assert.equal(made.filter(Boolean).length, 1);
  assert.equal(await directory.read('key.json'), `text ${made.indexOf(true) + 1}`.repeat(1000));
  assert.deepEqual(readdirSync(home), ['key.json']);
});

test('what is not there reads as nothing', async () => {
  assert.equal(await openConfigDirectory(join(home, 'nowhere')).read('key.json'), null);
});

test('the directory is where LATCHKEY_CONFIG_DIR says, else under XDG_CONFIG_HOME, else under ~/.config', () => {
  assert.equal(configPath({ LATCHKEY_CONFIG_DIR: '/a', XDG_CONFIG_HOME: '/b', HOME: '/c' }), '/a');
  assert.equal(configPath({ XDG_CONFIG_HOME: '/b', HOME: '/c' }), '/b/latchkey');
  assert.equal(configPath({ HOME: '/c' }), '/c/.config/latchkey');
});
