import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseAgentConfig } from '../../../src/agent/program/config.ts';
import { passwordSetter } from '../../../src/agent/program/set-password.ts';
import { newPassword } from '../../../src/credentials/password.ts';

const isRoot = process.platform === 'linux' && process.getuid?.() === 0;
const skip = isRoot ? false : 'only root on Linux may make a throw-away account and set its password';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-password-'));
});
after(() => rm(directory, { recursive: true, force: true }));

/** A program that stands for the one that sets passwords. */
async function script(body: string): Promise<string> {
  const file = join(directory, `set-${randomBytes(4).toString('hex')}`);
  await writeFile(file, `#!/bin/sh\n${body}\n`);
  await chmod(file, 0o755);
  return file;
}

describe('a real account', { skip }, () => {
  const account = `lk-${randomBytes(4).toString('hex')}`;
  before(() => void execFileSync('useradd', ['--no-create-home', '--shell', '/bin/sh', account]));
  after(() => void execFileSync('userdel', [account]));

  /** Whether the system's own `crypt` makes of the password what stands in the shadow file. */
  async function hasPassword(password: string): Promise<boolean> {
    const shadow = await readFile('/etc/shadow', 'utf8');
    const hash = shadow
      .split('\n')
      .find((line) => line.startsWith(`${account}:`))!
      .split(':')[1]!;
    const compare = 'my ($p, $h) = split /\\n/, join("", <STDIN>); exit(crypt($p, $h) eq $h ? 0 : 1)';
    const { status, error } = spawnSync('perl', ['-e', compare], { input: `${password}\n${hash}\n` });
    assert.ok(!error && status !== null, 'perl, whose `crypt` is that of the system, cannot be run');
    return status === 0;
  }

  it('has the new password, and the old one no more', async () => {
    const [first, second] = [newPassword().reveal(), newPassword().reveal()];
    const set = passwordSetter({ account });
    await set(first);
    assert.ok(await hasPassword(first));
    await set(second);
    assert.ok(await hasPassword(second));
    assert.ok(!(await hasPassword(first)));
    // Once more is as good as once.
    await set(second);
    assert.ok(await hasPassword(second));
  });

  it('that there is not gets none, and the password is in no error', async () => {
    const password = newPassword().reveal();
    await assert.rejects(passwordSetter({ account: `${account}-gone` })(password), (error: Error) => {
      assert.equal(error.name, 'PasswordNotSet');
      assert.ok(!error.stack!.includes(password));
      return true;
    });
  });

  it('gets nothing that would be a line of another account', async () => {
    for (const password of ['short', 'x\nroot:gone', `${newPassword().reveal()}\nroot:gone`, '']) {
      await assert.rejects(passwordSetter({ account })(password), /none such as brokers make/);
    }
  });
});

describe('a program', () => {
  it('reads it from its standard input, and neither its arguments nor its environment hold it', async () => {
    const out = join(directory, 'seen');
    const file = await script(
      `read -r line; { echo "$line"; tr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' '\\n' < /proc/$$/environ; } > ${out}`,
    );
    const password = newPassword().reveal();
    await passwordSetter({ command: [file, '--account', 'roomadmin'] })(password);
    const [line, ...rest] = (await readFile(out, 'utf8')).split('\n');
    assert.equal(line, password);
    assert.ok(!rest.join('\n').includes(password));
    assert.match(rest[0]!, /--account roomadmin/);
    const names = rest
      .slice(1)
      .filter(Boolean)
      .map((each) => each.split('=')[0]);
    assert.ok(
      names.every((name) => ['PATH', 'LANG', 'PWD', 'SHLVL', '_', 'OLDPWD'].includes(name!)),
      names.join(),
    );
  });

  const failing: readonly [what: string, body: string, why: RegExp][] = [
    ['that fails and quotes what it got', 'read -r line; echo "$line" >&2; exit 3', /ended with 3/],
    ['that reads nothing', 'exit 1', /ended with 1/],
    ['that is killed', 'kill -9 $$', /ended by SIGKILL/],
    ['that never ends', 'exec sleep 60', /took longer than/],
  ];
  for (const [what, body, why] of failing) {
    it(`${what} is an error that holds nothing of it`, async () => {
      const password = newPassword().reveal();
      const set = passwordSetter({ command: [await script(body)] }, { longestMs: 1_000 });
      await assert.rejects(set(password), (error: Error) => {
        assert.match(error.message, why);
        assert.ok(!error.stack!.includes(password));
        return true;
      });
    });
  }

  it('that is not there is an error that says so', async () => {
    await assert.rejects(passwordSetter({ command: ['/no/such/program'] })(newPassword().reveal()), /ENOENT/);
  });
});

describe('the configuration', () => {
  const base = {
    brokerUrl: 'http://127.0.0.1:7400',
    stateDirectory: '/tmp/agent',
    door: { host: '127.0.0.1', port: 0, url: 'http://127.0.0.1' },
    actions: {},
  };
  const pointersOf = async (localAdministrator: unknown): Promise<string[]> =>
    parseAgentConfig({ ...base, localAdministrator }).then(
      () => [],
      (error: { mistakes: { pointer: string }[] }) => error.mistakes.map(({ pointer }) => pointer),
    );

  it('names an account or a program, and nothing else', async () => {
    const at = '/localAdministrator';
    if (process.platform === 'linux') assert.deepEqual(await pointersOf({ account: 'roomadmin' }), []);
    assert.deepEqual(await pointersOf({ command: ['/usr/local/bin/set-password', '--quiet'] }), []);
    assert.deepEqual(await pointersOf({}), [at]);
    assert.deepEqual(await pointersOf({ account: 'roomadmin', command: ['/bin/true'] }), [at]);
    assert.deepEqual(await pointersOf({ command: ['set-password'] }), [`${at}/command/0`]);
    for (const account of ['', 'a:b', '-x', 'a b', 'root\n', 'Admin', 'a'.repeat(33)]) {
      assert.deepEqual(await pointersOf({ account }), [`${at}/account`], account);
    }
  });
});
