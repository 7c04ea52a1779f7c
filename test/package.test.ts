import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import manifest from '../package.json' with { type: 'json' };
import { newTestBroker } from './support/broker.ts';
import { startBrokerProcess } from './support/broker-process.ts';
import { consumer, inEmptyProject, itsWords, pack, root, unpack, type Packed } from './support/packages.ts';

let scratch: string;
let whole: Packed;
before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'latchkey-packed-'));
  whole = await pack('.', scratch);
});
after(() => rm(scratch, { recursive: true, force: true }));

describe('the whole package', () => {
  it('has the library as `latchkey/agent`, which loads where nothing but jose is installed', () =>
    inEmptyProject(async (project) => {
      await project.take('latchkey', await unpack(whole.file, project.path), 'copy');
      await project.take('jose', join(root, 'node_modules/jose'), 'link');
      await project.write('door.js', consumer('latchkey/agent'));
      assert.equal(await project.node('door.js'), itsWords);
    }));

  it('has a `latchkey` that runs a broker and a policy check, compiled, with its own migrations', () =>
    inEmptyProject(async (project) => {
      await project.take('latchkey', await unpack(whole.file, project.path), 'copy');
      for (const name of Object.keys(manifest.dependencies)) {
        await project.take(name, join(root, 'node_modules', name), 'link');
      }
      const latchkey = join(project.path, 'node_modules/latchkey', manifest.bin.latchkey);
      assert.equal(await project.node(latchkey, '--version'), `${manifest.version}\n`);
      const policies = join(project.path, 'node_modules/latchkey/policies');
      assert.match(await project.node(latchkey, 'policy', 'check', policies), /7 profiles/);
      const broker = await newTestBroker();
      try {
        const database = { url: broker.database.appUrl, adminUrl: broker.database.adminUrl };
        const { publicUrl, region, identityProviders, secrets, ledger } = broker.config;
        const config = { publicUrl, region, identityProviders, policies, secrets, ledger, database };
        const listen = { host: '127.0.0.1', port: 7_400 };
        await project.write('config.json', JSON.stringify({ ...config, listen }));
        assert.equal(await project.node(latchkey, 'migrate', '--config', 'config.json'), 'nothing to apply\n');
        const serving = await startBrokerProcess(broker, latchkey);
        assert.equal((await fetch(`${serving.url}/readyz`)).status, 200);
        assert.equal(await serving.stop(), 0);
        await broker.checkLedger();
      } finally {
        await broker.stop();
      }
    }));

  it('has no source, no test and no map in it, and what it compiles to is all of what it runs', async () => {
    assert.ok(whole.size < 800_000, `${whole.size} bytes packed`);
    const folders = new Set(whole.paths.map((path) => path.split('/').slice(0, 2).join('/')));
    for (const folder of folders)
      assert.match(
        folder,
        /^(?:dist\/(?:src|agent-actions|migrations|package\.json)|policies\/|scripts\/latchkey\.mjs|LICENSE|README\.md|package\.json)/,
      );
    const sources = whole.paths.filter((path) => /(?<!\.d)\.ts$|\.map$|\.test\./.test(path));
    assert.deepEqual(sources, []);
    const migrations = await readdir(join(root, 'migrations'));
    assert.deepEqual(whole.paths.filter((path) => path.startsWith('dist/migrations/')).length, migrations.length);
    assert.match(await readFile(join(root, manifest.bin.latchkey), 'utf8'), /^#!\/usr\/bin\/env node\n/);
  });
});
