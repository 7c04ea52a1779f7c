import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { withClient } from '../src/development/postgres-roles.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'latchkey-fresh-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

test('what is missing is installed, development and optional packages too, with one line on standard error', async () => {
  const checkout = newCheckout();
  const { code, stdout, stderr } = await checkout.install({ NODE_ENV: 'production' });
  assert.deepEqual([code, stdout], [0, '']);
  assert.equal(stderr, 'latchkey: installing 2 packages that `package-lock.json` names\n');
  const [call, ...more] = checkout.npmCalls();
  assert.equal(more.length, 0);
  assert.match(call!, /^ci --include=dev --include=optional --ignore-scripts /);
});

test('what is installed is left alone without a word', async () => {
  const checkout = newCheckout();
  await checkout.install();
  assert.deepEqual(await checkout.install(), { code: 0, stdout: '', stderr: '' });
  assert.equal(checkout.npmCalls().length, 1);
});

const damages: readonly [what: string, damage: (folder: string) => void][] = [
  [
    'the lockfile names another version',
    (folder) => writeFileSync(join(folder, 'package-lock.json'), lockfile('2.0.0')),
  ],
  ['a package was removed by hand', (folder) => rmSync(join(folder, 'node_modules', 'one'), { recursive: true })],
  ['an installation was broken off', (folder) => rmSync(join(folder, 'node_modules', '.package-lock.json'))],
];
for (const [what, damage] of damages) {
  test(`it installs again when ${what}`, async () => {
    const checkout = newCheckout();
    await checkout.install();
    damage(checkout.folder);
    assert.equal((await checkout.install()).code, 0);
    assert.equal(checkout.npmCalls().length, 2);
    assert.equal((await checkout.install()).stderr, '');
  });
}

test('of several at once one installs, and the others wait and say for whom', async () => {
  const checkout = newCheckout();
  const outcomes = await Promise.all(Array.from({ length: 4 }, () => checkout.install({ NPM_SECONDS: '2' })));
  assert.deepEqual(
    outcomes.map(({ code }) => code),
    [0, 0, 0, 0],
  );
  assert.equal(checkout.npmCalls().length, 1);
  const waiting = outcomes.filter(({ stderr }) => /waiting for process \d+, which is installing/.test(stderr));
  assert.ok(waiting.length > 0);
});

test('an installation whose process was killed holds nobody up', async () => {
  const checkout = newCheckout();
  const lock = join(checkout.folder, '.latchkey', 'installing');
  mkdirSync(lock, { recursive: true });
  writeFileSync(join(lock, 'pid'), String(process.pid));
  utimesSync(lock, new Date(0), new Date(0));
  assert.equal((await checkout.install()).code, 0);
  assert.equal(existsSync(lock), false);
});

test('a failing `npm ci` fails the command, and one that leaves a package out is not believed', async () => {
  const checkout = newCheckout();
  const failing = await checkout.install({ NPM_EXIT: '7' });
  assert.equal(failing.code, 1);
  assert.match(failing.stderr, /`npm ci` failed with exit code 7/);
  const lying = await checkout.install({ NPM_LEAVES_OUT: 'yes' });
  assert.equal(lying.code, 1);
  assert.match(lying.stderr, /ended well, but `node_modules\/one` is not there/);
});

test('each machine that cannot run Latchkey is told why', async () => {
  const { platformProblem } = (await import(join(root, 'scripts', 'platform.mjs'))) as {
    platformProblem: (machine: object) => string | null;
  };
  const linux = { platform: 'linux', arch: 'x64', node: '20.0.0', glibc: '2.36' };
  const mac = { platform: 'darwin', arch: 'arm64', node: '24.0.0' };
  assert.equal(platformProblem(linux), null);
  assert.equal(platformProblem(mac), null);
  assert.match(platformProblem({ ...linux, node: '18.20.4' })!, /18\.20\.4 is too old: 20 or later/);
  assert.match(platformProblem({ ...linux, glibc: undefined })!, /no glibc/);
  assert.match(platformProblem({ ...linux, arch: 's390x' })!, /linux-s390x is not supported/);
  assert.match(platformProblem({ ...linux, platform: 'win32' })!, /Windows Subsystem for Linux/);
  assert.match(platformProblem({ ...mac, node: '22.1.0' })!, /on macOS, .* 24 or later/);
});

test('every command of package.json installs first, and hands signals to what it starts', () => {
  const { scripts } = readJson(join(root, 'package.json')) as { scripts: Record<string, string> };
  for (const name of ['start', 'test', 'demo', 'demo:key-vault', 'latchkey', 'bench', 'check']) {
    assert.equal(scripts[`pre${name}`], 'node scripts/install.mjs', name);
    if (name !== 'check') assert.match(scripts[name]!, /^exec node \S+$/, name);
  }
});

test('the lockfile can be installed by `npm ci`: it has an entry for all that its packages ask for', () => {
  const { packages } = readJson(join(root, 'package-lock.json')) as { packages: Record<string, LockEntry> };
  const asked = Object.values(packages).flatMap(({ dependencies, optionalDependencies }) =>
    Object.keys({ ...dependencies, ...optionalDependencies }),
  );
  const names = new Set(Object.keys(packages).map((path) => path.split('node_modules/').at(-1)));
  assert.deepEqual(
    [...new Set(asked)].filter((name) => !names.has(name)),
    [],
  );
});

test('`npm test` carries the exit code and ends with the summary of the runner', async () => {
  const failing = write(
    'failing.test.ts',
    "import { test } from 'node:test';\ntest('no', () => { throw new Error('x'); });",
  );
  const { code, stdout } = await runTests([failing], { LATCHKEY_TEST_POSTGRES: 'postgres://unused/' });
  assert.equal(code, 1);
  assert.match(stdout, /tests 1\n.*suites 0\n.*pass 0\n.*fail 1\n/);
  assert.equal((await runTests(['test/no-such-file.test.ts'])).code, 2);
});

test('`npm test` gives its tests a PostgreSQL, and an interruption ends that with everything else', async () => {
  const note = join(scratch, 'note');
  const hanging = write(
    'hanging.test.ts',
    `import { test } from 'node:test';
     import { renameSync, writeFileSync } from 'node:fs';
     writeFileSync('${note}.new', process.pid + ' ' + process.env.LATCHKEY_TEST_POSTGRES);
     renameSync('${note}.new', '${note}');
     test('hangs', () => new Promise((done) => setTimeout(done, 60_000)));`,
  );
  const runner = startTests([hanging]);
  const outcome = collect(runner);
  while (!existsSync(note)) {
    assert.equal(runner.exitCode, null);
    await sleep(50);
  }
  const [pid, server] = readFileSync(note, 'utf8').split(' ') as [string, string];
  const connect = () => withClient(server, async () => {});
  await connect();
  runner.kill('SIGTERM');
  assert.equal((await outcome).code, 130);
  await assert.rejects(connect(), { code: 'ECONNREFUSED' });
  assert.equal(isRunning(Number(pid)), false);
});

/** False also for a process that has ended and that the machine's first process has not collected yet. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/ Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

interface LockEntry {
  readonly dependencies?: object;
  readonly optionalDependencies?: object;
}

/** A checkout with the real scripts and an npm that notes how it was called and installs what the lockfile says. */
function newCheckout() {
  const folder = mkdtempSync(join(scratch, 'checkout-'));
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'scripts'));
  for (const name of globSync('*.mjs', { cwd: join(root, 'scripts') })) {
    cpSync(join(root, 'scripts', name), join(folder, 'scripts', name));
  }
  writeFileSync(join(folder, 'package-lock.json'), lockfile('1.0.0'));
  writeFileSync(join(folder, 'bin', 'npm'), standInForNpm, { mode: 0o755 });
  return {
    folder,
    npmCalls: () => readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n'),
    install: (env: Record<string, string> = {}) =>
      collect(
        spawn(process.execPath, [join(folder, 'scripts', 'install.mjs')], {
          cwd: scratch,
          env: { ...env, PATH: `${join(folder, 'bin')}:/usr/bin:/bin` },
        }),
      ),
  };
}

const standInForNpm = `#!/bin/sh
echo "$*" >> calls
echo 'added some packages'
[ -z "$NPM_SECONDS" ] || sleep "$NPM_SECONDS"
[ -z "$NPM_EXIT" ] || exit "$NPM_EXIT"
[ -z "$NPM_LEAVES_OUT" ] || exit 0
mkdir -p node_modules/one node_modules/two
cp package-lock.json node_modules/.package-lock.json
`;

function lockfile(version: string): string {
  return JSON.stringify({
    packages: {
      '': { name: 'x' },
      'node_modules/one': { version, integrity: `sha512-${version}` },
      'node_modules/two': { version, dev: true, optional: true, os: process.platform, cpu: [process.arch] },
      'node_modules/three': { version, optional: true, os: ['aix'] },
      'node_modules/four': { version, optional: true, os: [`!${process.platform}`] },
      'node_modules/five': { version, optional: true, os: ['linux'], libc: ['musl'] },
    },
  });
}

function write(name: string, text: string): string {
  writeFileSync(join(scratch, name), text);
  return join(scratch, name);
}

function startTests(paths: readonly string[], env: Record<string, string> = {}) {
  const { LATCHKEY_TEST_POSTGRES: _, ...inherited } = process.env;
  return spawn(process.execPath, [join(root, 'scripts', 'test.mjs'), ...paths], {
    cwd: root,
    env: { ...inherited, ...env },
  });
}

function runTests(paths: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  return collect(startTests(paths, env));
}

function collect(child: ReturnType<typeof startTests>): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', (code) => done({ code, stdout, stderr }));
  });
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}
