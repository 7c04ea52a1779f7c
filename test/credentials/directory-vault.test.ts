import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDirectoryVault } from '../../src/credentials/directory-vault.ts';
import { vaultContract } from '../support/vault-contract.ts';

const root = await mkdtemp(join(tmpdir(), 'latchkey-vault-'));
after(() => rm(root, { recursive: true, force: true }));
let count = 0;
const fresh = (): string => join(root, String((count += 1)));

const shared = fresh();
vaultContract('a directory', () => openDirectoryVault(shared));

async function walk(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.map((entry) => join(entry.parentPath, entry.name));
}

test('nobody but the owner may look into the directory, whatever its mode was', async () => {
  const directory = fresh();
  await mkdir(directory, { mode: 0o755 });
  const vault = await openDirectoryVault(directory);
  const { version } = await vault.addVersion('name', 'value', { tags: { a: 'b' } });
  await vault.setTags('name', version, {});
  await vault.disable('name', version);
  for (const path of [directory, ...(await walk(directory))]) assert.equal((await stat(path)).mode & 0o077, 0, path);
});

test('a plain file of an earlier release is a first version, and stays one when others are added', async () => {
  const directory = fresh();
  await mkdir(directory);
  await writeFile(join(directory, 'old'), 'plain', { mode: 0o600 });
  const vault = await openDirectoryVault(directory);
  assert.equal(await vault.get('old'), 'plain');
  assert.equal(await vault.create('old', 'other'), 'plain');
  const [first] = await vault.versions('old');
  await vault.addVersion('old', 'next');
  const all = await vault.versions('old');
  assert.deepEqual(all[0], first);
  assert.deepEqual(await Promise.all(all.map(({ version }) => vault.getVersion('old', version))), ['plain', 'next']);
  await vault.disable('old', first!.version);
  assert.equal(await vault.getVersion('old', first!.version), null);
  assert.equal(await vault.get('old'), 'next');
});

test('a plain file that is replaced, removed or disabled does not come back', async () => {
  const directory = fresh();
  await mkdir(directory);
  for (const name of ['replaced', 'removed', 'disabled']) await writeFile(join(directory, name), 'plain');
  const vault = await openDirectoryVault(directory);
  await vault.replace('replaced', 'new');
  assert.equal(await vault.get('replaced'), 'new');
  await vault.remove('removed');
  assert.equal(await vault.get('removed'), null);
  await vault.disable('disabled', (await vault.versions('disabled'))[0]!.version);
  assert.equal(await vault.get('disabled'), null);
  for (const path of await walk(directory)) {
    const isFile = (await stat(path)).isFile();
    assert.ok(!isFile || !(await readFile(path, 'utf8')).includes('plain'), path);
  }
});

test('who reads a plain file while others give it its number always finds it', async () => {
  const directory = fresh();
  await mkdir(directory);
  await openDirectoryVault(directory);
  for (let round = 0; round < 40; round++) {
    const name = `old-${round}`;
    await writeFile(join(directory, name), 'plain');
    const [reader, writer] = await Promise.all([openDirectoryVault(directory), openDirectoryVault(directory)]);
    const [seen, made] = await Promise.all([
      Promise.all(Array.from({ length: 5 }, () => reader.get(name))),
      reader.create(name, 'other'),
      writer.addVersion(name, 'plain'),
    ]);
    assert.deepEqual([new Set(seen), made], [new Set(['plain']), 'plain']);
  }
});

test('the value of a disabled version is not left in any file', async () => {
  const directory = fresh();
  const vault = await openDirectoryVault(directory);
  const { version } = await vault.addVersion('name', 'canary');
  await vault.disable('name', version);
  for (const path of await walk(directory)) {
    const isFile = (await stat(path)).isFile();
    assert.ok(!isFile || !(await readFile(path, 'utf8')).includes('canary'), path);
  }
});

test('a value that is replaced leaves one version and no drafts', async () => {
  const directory = fresh();
  const vault = await openDirectoryVault(directory);
  for (let value = 0; value < 5; value++) await vault.replace('name', String(value));
  assert.equal((await vault.versions('name')).length, 1);
  assert.deepEqual(await readdir(directory), ['name.versions']);
});

test('a start sweeps away what a crash has left, and nothing that may be in use', async () => {
  const directory = fresh();
  await mkdir(join(directory, 'name.aa.gone'), { recursive: true });
  await writeFile(join(directory, 'name.aa.gone', '000000000001'), 'canary');
  await writeFile(join(directory, 'name.bb.draft'), 'canary');
  await writeFile(join(directory, 'name.cc.draft'), 'canary');
  const twoHoursAgo = Date.now() / 1000 - 7_200;
  await utimes(join(directory, 'name.bb.draft'), twoHoursAgo, twoHoursAgo);
  await openDirectoryVault(directory);
  assert.deepEqual(await readdir(directory), ['name.cc.draft']);
});

test('a damaged file is an error that quotes nothing, and never "none"', async () => {
  const directory = fresh();
  const vault = await openDirectoryVault(directory);
  await vault.addVersion('name', 'value');
  await writeFile(join(directory, 'name.versions', '000000000001'), '{"value":"canary');
  await assert.rejects(vault.get('name'), (error: Error) => {
    assert.match(error.message, /the secret `name` cannot be read/);
    assert.ok(!JSON.stringify([error.message, error.stack, error.cause]).includes('canary'));
    return true;
  });
});

test('a process killed at any moment leaves every value whole', async () => {
  const directory = fresh();
  const vault = await openDirectoryVault(directory);
  const script = `
    import { openDirectoryVault } from ${JSON.stringify(import.meta.resolve('../../src/credentials/directory-vault.ts'))};
    const vault = await openDirectoryVault(process.argv[1]);
    for (let n = 1; ; n++) {
      await vault.replace('replaced', 'whole '.repeat(500) + n);
      const { version } = await vault.addVersion('added', 'whole '.repeat(500) + n);
      await vault.setTags('added', version, { n: String(n) });
      await vault.disable('added', version);
      await vault.remove('added');
      process.send(n);
    }`;
  let told = 0;
  for (let round = 0; round < 6; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, directory], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const first = new Promise((resolve, reject) => child.once('message', resolve).once('exit', reject));
    child.on('message', (n) => (told = n as number));
    await first;
    await sleep(round * 3);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const value = await vault.get('replaced');
    assert.match(value!, /^(?:whole ){500}\d+$/);
    assert.ok(Number(value!.match(/\d+$/)![0]) >= told, 'what was told is kept');
    for (const { version, tags } of await vault.versions('added')) {
      const kept = await vault.getVersion('added', version);
      assert.ok(kept === null || /^(?:whole ){500}\d+$/.test(kept));
      assert.ok(tags.n === undefined || /^\d+$/.test(tags.n));
    }
    told = 0;
    await vault.replace('replaced', `${'whole '.repeat(500)}0`);
  }
});
