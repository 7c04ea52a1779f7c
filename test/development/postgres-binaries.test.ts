import assert from 'node:assert/strict';
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parsePasswd } from '../../src/development/postgres-account.ts';
import { makeOwn, prepareBinaries } from '../../src/development/postgres-binaries.ts';

const folder = mkdtempSync(join(tmpdir(), 'latchkey-binaries-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const uid = process.geteuid?.() ?? 0;

test('the programs lie where every account can run them and only we can change them', () => {
  const { initdb, postgres, cache } = prepareBinaries();
  for (const path of [initdb, postgres]) {
    accessSync(path, constants.X_OK);
    assert.equal(statSync(path).mode & 0o777, 0o755);
    assert.equal(statSync(path).uid, uid);
  }
  assert.equal(makeOwn(cache, uid), null);
});

test('a folder for programs is made readable for all, even under a strict umask', () => {
  const before = process.umask(0o077);
  try {
    assert.equal(makeOwn(join(folder, 'strict'), uid), null);
  } finally {
    process.umask(before);
  }
  assert.equal(statSync(join(folder, 'strict')).mode & 0o777, 0o755);
});

test('a folder that others may write to, a link and a file are no places for programs', () => {
  const open = join(folder, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  assert.equal(makeOwn(open, uid), `others may write to \`${open}\``);
  const link = join(folder, 'link');
  symlinkSync(folder, link);
  assert.equal(makeOwn(link, uid), `\`${link}\` is not a folder`);
  assert.match(makeOwn('/dev/null', uid)!, /EEXIST|not a folder/);
});

test('a folder of another account is no place for programs', () => {
  const theirs = join(folder, 'theirs');
  mkdirSync(theirs);
  if (uid === 0) chownSync(theirs, 65_534, 65_534);
  assert.equal(makeOwn(theirs, uid === 0 ? 0 : uid + 1), `\`${theirs}\` belongs to another account`);
});

test('accounts are read from the lines of passwd, negative numbers as the 32 bits they are', () => {
  const text = '# comment\nroot:x:0:0:root:/root:/bin/sh\nnobody:*:-2:-2:Unprivileged:/var/empty:/usr/bin/false\n\n';
  assert.deepEqual(parsePasswd(text), [
    { name: 'root', uid: 0, gid: 0 },
    { name: 'nobody', uid: 4_294_967_294, gid: 4_294_967_294 },
  ]);
});
