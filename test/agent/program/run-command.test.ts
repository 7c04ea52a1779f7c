import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, openWorkshop, type Workshop } from './support.ts';

let workshop: Workshop;
before(async () => void (workshop = await openWorkshop()));
after(() => workshop.close());

describe('the program of an action', () => {
  test('gets its arguments as they are, an environment of its own, and its exit code is the action’s', async () => {
    const script = 'printf "%s|" "$@"; env; echo problem >&2; exit 7';
    const ran = await workshop.run({
      file: '/bin/sh',
      arguments: ['-c', script, 'name', 'two words', '$(id)', '; reboot', '*'],
      environment: { ROOM: 'amber' },
    });
    assert.equal(ran.exit, 7);
    assert.equal(ran.stderr, 'problem\n');
    assert.ok(ran.stdout.startsWith('two words|$(id)|; reboot|*|'));
    const names = [...ran.stdout.matchAll(/^(?:.*\|)?([A-Z_]+)=/gm)].map(([, name]) => name!);
    assert.deepEqual(names.sort(), ['LANG', 'LATCHKEY_ACTION', 'PATH', 'PWD', 'ROOM']);
  });

  test('that is not there, or is no program, is told with the exit code of env(1)', async () => {
    const missing = await workshop.run({ file: '/nowhere/at/all' });
    assert.deepEqual([missing.exit, missing.stderr], [127, '`/nowhere/at/all` cannot be run on this device\n']);
    const file = join(workshop.directory, 'plain');
    await writeFile(file, 'words');
    await chmod(file, 0o600);
    assert.equal((await workshop.run({ file })).exit, 126);
  });

  test('that dies by a signal has the exit code that a shell would give it', async () => {
    assert.equal((await workshop.shell('kill -SEGV $$')).exit, 139);
  });

  test('is stopped when its time is up, with the exit code of timeout(1), and says so', async () => {
    const ran = await workshop.shell('echo begun; sleep 60', { timeLimitSeconds: 0.3 });
    assert.deepEqual([ran.exit, ran.stdout], [124, 'begun\n']);
    assert.match(ran.stderr, /`app\.test` was stopped after 0\.3 s/);
  });

  test('is written down before it starts, and taken off once nothing of it is left', async () => {
    const stop = new AbortController();
    const running = workshop.shell('sleep 60', { signal: stop.signal });
    await eventually(async () => (await workshop.left()).length === 1);
    const [action] = await workshop.left();
    assert.match(action!.mark, /^[0-9a-f]{32}$/);
    stop.abort();
    await running;
    assert.deepEqual(await workshop.left(), []);
  });
});

test('a gigabyte of output that nobody reads waits in the program, not in memory', async () => {
  const stop = new AbortController();
  let taken = 0;
  const never = Promise.withResolvers<void>();
  const before = process.memoryUsage().rss;
  const running = workshop.run(
    { file: '/usr/bin/head', arguments: ['-c', '1073741824', '/dev/zero'] },
    { signal: stop.signal, stdout: (data) => ((taken += data.length), never.promise) },
  );
  await sleep(1_000);
  assert.ok(taken > 0 && taken < 4_194_304, `${taken} bytes were taken`);
  assert.ok(process.memoryUsage().rss - before < 200_000_000);
  stop.abort();
  assert.equal((await running).exit, 143);
});

test('output that is read arrives whole', async () => {
  let taken = 0;
  const { exit } = await workshop.run(
    { file: '/usr/bin/head', arguments: ['-c', '67108864', '/dev/zero'] },
    { stdout: async (data) => void (taken += data.length) },
  );
  assert.deepEqual([exit, taken], [0, 67_108_864]);
});
