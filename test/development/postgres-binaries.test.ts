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
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
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

/** While `LATCHKEY_POSTGRES` names the folder. */
function naming<T>(named: string, work: () => T): T {
  const before = process.env.LATCHKEY_POSTGRES;
  process.env.LATCHKEY_POSTGRES = named;
  try {
    return work();
  } finally {
    if (before === undefined) delete process.env.LATCHKEY_POSTGRES;
    else process.env.LATCHKEY_POSTGRES = before;
  }
}

test('programs of another PostgreSQL are run where they are, if it is new enough', () => {
  const own = naming('', prepareBinaries);
  const other = join(folder, 'other');
  symlinkSync(dirname(own.postgres), other);
  assert.deepEqual(naming(other, prepareBinaries), {
    ...own,
    initdb: join(other, 'initdb'),
    postgres: join(other, 'postgres'),
  });
});

test('programs of another PostgreSQL are asked for their version without our environment', () => {
  const curious = join(folder, 'curious');
  mkdirSync(curious);
  writeFileSync(join(curious, 'initdb'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(curious, 'postgres'), '#!/bin/sh\necho "postgres 14 $LATCHKEY_POSTGRES"\n', { mode: 0o755 });
  assert.throws(() => naming(curious, prepareBinaries), { message: /not postgres 14$/ });
});

test('a folder without PostgreSQL, or with one that is too old, is named and refused', () => {
  const old = join(folder, 'old');
  assert.throws(() => naming(old, prepareBinaries), { message: /^found no `initdb` and `postgres` .* in `.*old`$/ });
  mkdirSync(old);
  writeFileSync(join(old, 'initdb'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(old, 'postgres'), '#!/bin/sh\necho "postgres (PostgreSQL) 14.9"\n', { mode: 0o755 });
  assert.throws(() => naming(old, prepareBinaries), {
    message: 'PostgreSQL 15 or later is needed, not postgres (PostgreSQL) 14.9',
  });
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
