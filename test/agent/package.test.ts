import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import manifest from '../../package.json' with { type: 'json' };
import library from '../../packages/agent/package.json' with { type: 'json' };
import { consumer, inEmptyProject, itsWords, pack, root, unpack, type Packed } from '../support/packages.ts';

let scratch: string;
let agent: Packed;
let jose: Packed;
before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'latchkey-packed-'));
  agent = await pack('packages/agent', scratch);
  jose = await pack('node_modules/jose', scratch);
});
after(() => rm(scratch, { recursive: true, force: true }));

describe('the agent’s library by itself', () => {
  it('is installed in an empty project with jose and nothing else, and works there', () =>
    inEmptyProject(async (project) => {
      await project.npm('install', '--offline', '--ignore-scripts', agent.file, jose.file);
      const installed = (await readdir(join(project.path, 'node_modules'))).filter((name) => !name.startsWith('.'));
      assert.deepEqual(installed.sort(), ['@latchkey', 'jose']);
      await project.write('door.js', consumer('@latchkey/agent'));
      assert.equal(await project.node('door.js'), itsWords);
    }));

  it('can be installed under the name it has in the whole package', () =>
    inEmptyProject(async (project) => {
      await project.npm('install', '--offline', '--ignore-scripts', `latchkey@file:${agent.file}`, jose.file);
      await project.write('door.js', consumer('latchkey/agent'));
      assert.equal(await project.node('door.js'), itsWords);
    }));

  it('comes with types that a strict compiler takes, and that know a mistake', () =>
    inEmptyProject(async (project) => {
      await project.take('@latchkey/agent', await unpack(agent.file, project.path), 'copy');
      for (const name of ['jose', '@types/node', 'undici-types']) {
        await project.take(name, join(root, 'node_modules', name), 'link');
      }
      const compilerOptions = { module: 'nodenext', target: 'es2024', strict: true, noEmit: true, types: ['node'] };
      const options = { ...compilerOptions, exactOptionalPropertyTypes: true, skipLibCheck: false };
      await project.write('tsconfig.json', JSON.stringify({ compilerOptions: options, files: ['door.ts'] }));
      await project.write(
        'door.ts',
        `import { openSession, type Doorkeeper, type Presented, type Session } from '@latchkey/agent';
        export const open = (keeper: Doorkeeper, call: Presented): Promise<Session> => openSession(keeper, call);
        // @ts-expect-error -- no receipt, no session
        export const careless = (keeper: Doorkeeper, { receipt: _, ...call }: Presented) => openSession(keeper, call);
        export const grantOf = async (session: Session): Promise<string> => session.grant;
        // @ts-expect-error -- an id is no number
        export const wrong = (session: Session): number => session.grant;
        `,
      );
      assert.equal(await project.node(join(root, 'node_modules/typescript/bin/tsc')), '');
    }));

  it('is small, and has nothing in it but what it is made of', () => {
    assert.ok(agent.size < 120_000, `${agent.size} bytes packed`);
    assert.ok(agent.unpackedSize < 500_000, `${agent.unpackedSize} bytes unpacked`);
    const strange = agent.paths.filter((path) => !/^dist\/(?:agent|domain|ledger)\/.*\.(?:js|d\.ts)$/.test(path));
    assert.deepEqual(strange.sort(), ['LICENSE', 'README.md', 'package.json']);
  });

  it('asks for the very jose that it is tested with, under the version of the whole', () => {
    assert.deepEqual(library.dependencies, { jose: manifest.dependencies.jose });
    assert.equal(library.version, manifest.version);
    assert.equal(library.license, manifest.license);
  });
});
