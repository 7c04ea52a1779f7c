import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { reboot } from '../../../src/agent/linux/reboot.ts';
import { restartService } from '../../../src/agent/linux/restart-service.ts';
import { openTools, type Tools } from '../../../src/agent/linux/tools.ts';
import { update } from '../../../src/agent/linux/update.ts';

let place: string;
let tools: Tools;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'latchkey-tools-'));
  tools = openTools([join(place, 'none'), place]);
});
afterEach(() => rm(place, { recursive: true }));

/** Puts tools onto the device that only write down what they are told. */
async function have(...names: string[]): Promise<void> {
  for (const name of names) {
    const script = `#!/bin/sh\necho "${name} $*" >> ${place}/told\ncase "$*" in *fail*) exit 5;; esac\n`;
    await writeFile(join(place, name), script, { mode: 0o755 });
  }
}

async function told(): Promise<string[]> {
  const text = await readFile(join(place, 'told'), 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean);
}

describe('restarting the app', () => {
  it('is systemd’s to do, which is then asked how it went', async () => {
    await have('systemctl');
    assert.equal(await restartService(tools, 'room-app.service', false), 0);
    const [first, second] = await told();
    assert.equal(first, 'systemctl restart -- room-app.service');
    assert.match(second!, /^systemctl show --property=.* -- room-app\.service$/);
  });

  it('restarts nothing when it is to do nothing, and has the exit code of what failed', async () => {
    await have('systemctl');
    assert.equal(await restartService(tools, 'room-app.service', true), 0);
    assert.ok((await told()).every((line) => line.startsWith('systemctl show')));
    assert.equal(await restartService(tools, 'fail.service', false), 5);
  });

  it('of something that is no service is refused, and without systemd cannot be done', async () => {
    for (const service of [undefined, '', '--all', 'a b', '../x']) {
      await assert.rejects(restartService(tools, service, false), { name: 'UsageError' });
    }
    assert.equal(await restartService(tools, 'room-app.service', false), 69);
  });
});

describe('restarting the device', () => {
  it('takes the tool that there is', async () => {
    assert.equal(await reboot(tools, false), 69);
    for (const [tool, line] of [
      ['reboot', 'reboot '],
      ['shutdown', 'shutdown -r now'],
      ['systemctl', 'systemctl reboot --no-block'],
    ] as const) {
      await have(tool);
      assert.equal(await reboot(tools, false), 0);
      assert.equal((await told()).at(-1), line);
    }
  });

  it('does not happen when nothing is to be done', async () => {
    await have('systemctl', 'shutdown', 'reboot');
    assert.equal(await reboot(tools, true), 0);
    assert.deepEqual(await told(), []);
  });
});

describe('updating software', () => {
  it('first finishes what was left half done, and asks nothing back', async () => {
    await have('apt-get', 'dpkg');
    assert.equal(await update(tools, null, false), 0);
    assert.deepEqual(await told(), [
      'dpkg --configure --pending --force-confold',
      'apt-get update',
      'apt-get --yes --option=Dpkg::Options::=--force-confold upgrade',
    ]);
  });

  it('of one package touches no other', async () => {
    await have('apt-get');
    assert.equal(await update(tools, 'room-app', false), 0);
    assert.match((await told()).at(-1)!, / install --only-upgrade room-app$/);
    await rm(join(place, 'apt-get'));
    await have('dnf');
    assert.equal(await update(tools, 'room-app', false), 0);
    assert.equal((await told()).at(-1), 'dnf --assumeyes upgrade room-app');
  });

  it('only says what it would do when it is to do nothing, with every package manager', async () => {
    for (const [manager, line] of [
      ['zypper', 'zypper --non-interactive update --dry-run'],
      ['dnf', 'dnf --assumeno upgrade'],
      ['apt-get', 'apt-get --simulate upgrade'],
    ] as const) {
      await have(manager);
      assert.equal(await update(tools, null, true), 0);
      assert.equal((await told()).at(-1), line);
    }
  });

  it('stops at the step that fails, refuses what is no package, and needs a package manager', async () => {
    assert.equal(await update(tools, null, false), 69);
    await have('apt-get');
    assert.equal(await update(tools, 'fail', false), 5);
    for (const name of ['', '-x', '--all', 'a b', 'a/b', '$(id)']) {
      await assert.rejects(update(tools, name, false), { name: 'UsageError' });
    }
  });
});
