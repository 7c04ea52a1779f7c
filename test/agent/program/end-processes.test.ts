import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openControlGroups, removeGroup } from '../../../src/agent/program/cgroup.ts';
import { isAlive, openWorkshop, pidIn, type Workshop } from './support.ts';

let workshop: Workshop;
before(async () => void (workshop = await openWorkshop()));
after(() => workshop.close());

const ways = [
  ['with control groups', openControlGroups()],
  ['by the mark and the family alone', null],
] as const;

for (const [way, controlGroups] of ways) {
  describe(`what an action has started ends with it, ${way}`, () => {
    let files = 0;
    let file: string;
    let stop: AbortController;
    beforeEach(() => {
      file = join(workshop.directory, `${way}-${(files += 1)}`.replaceAll(' ', '-'));
      stop = new AbortController();
    });

    test('the whole process group, at once when it listens to TERM', async () => {
      const running = workshop.shell(`sleep 60 & echo $! > ${file}; wait`, { controlGroups, signal: stop.signal });
      const pid = await pidIn(file);
      stop.abort();
      await running;
      assert.equal(await isAlive(pid), false);
    });

    test('a process that ignores TERM, by KILL', async () => {
      const script = `trap '' TERM; echo $$ > ${file}; while :; do sleep 1; done`;
      const running = workshop.shell(script, { controlGroups, signal: stop.signal });
      const pid = await pidIn(file);
      stop.abort();
      await sleep(100);
      assert.equal(await isAlive(pid), true, 'TERM alone did not end it');
      assert.equal((await running).exit, 137);
      assert.equal(await isAlive(pid), false);
    });

    test('a process that TERM makes tidy up has the time for it', async () => {
      const script = `trap 'echo tidy; exit 3' TERM; echo $$ > ${file}; while :; do sleep 0.02; done`;
      const running = workshop.shell(script, { controlGroups, signal: stop.signal, graceMs: 5_000 });
      await pidIn(file);
      stop.abort();
      const { exit, stdout } = await running;
      assert.deepEqual([exit, stdout], [3, 'tidy\n']);
    });

    test('a process that has forked away into a session of its own and ignores TERM', async () => {
      const away = `setsid sh -c 'trap "" TERM HUP; echo $$ > ${file}; exec 1>&- 2>&-; while :; do sleep 1; done' &`;
      const running = workshop.shell(`${away} wait`, { controlGroups, signal: stop.signal });
      const pid = await pidIn(file);
      stop.abort();
      await running;
      assert.equal(await isAlive(pid), false);
    });

    test('a daemon whose parent has long ended, also when the action itself ends well', async () => {
      const away = `(setsid sh -c 'trap "" HUP; echo $$ > ${file}; while :; do sleep 1; done' &) ; sleep 0.3`;
      const ran = await workshop.shell(`${away}; echo done`, { controlGroups });
      assert.deepEqual([ran.exit, ran.stdout], [0, 'done\n']);
      assert.equal(await isAlive(await pidIn(file)), false);
    });

    test('a process without the mark in its environment, whose parent is still there', async () => {
      const away = `env -i setsid sh -c 'trap "" TERM; echo $$ > ${file}; while :; do sleep 1; done' &`;
      const running = workshop.shell(`${away} wait`, { controlGroups, signal: stop.signal });
      const pid = await pidIn(file);
      stop.abort();
      await running;
      assert.equal(await isAlive(pid), false);
    });

    test('processes that multiply while they are ended', async () => {
      const script = `trap '' TERM; while :; do (trap '' TERM; setsid sleep 30 &); sleep 0.01; done`;
      const running = workshop.shell(script, { controlGroups, signal: stop.signal, graceMs: 100 });
      await sleep(300);
      stop.abort();
      await running;
      assert.deepEqual(await workshop.left(), []);
    });
  });
}

test('even a daemon with an empty environment ends with its action, where there are control groups', async (t) => {
  const controlGroups = openControlGroups();
  const probe = controlGroups?.make('probe') ?? null;
  if (probe === null) return t.diagnostic('this machine lets nobody make control groups');
  removeGroup(probe.directory);
  const file = join(workshop.directory, 'clean');
  const away = `(env -i setsid sh -c 'echo $$ > ${file}; while :; do sleep 1; done' &); sleep 0.3`;
  await workshop.shell(away, { controlGroups });
  assert.equal(await isAlive(await pidIn(file)), false);
});
