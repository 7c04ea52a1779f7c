import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, truncate } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { newTestBroker, type TestBroker } from '../../support/broker.ts';
import { grow, linesOf, newFolder, sequencesOf, startCollector, upTo, type Folder } from './support.ts';

const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));

let broker: TestBroker;
let folder: Folder;
let size: number;
before(async () => {
  [broker, folder] = [await newTestBroker(), await newFolder()];
  size = await grow(broker, 1_100);
});
after(async () => {
  await folder.remove();
  await broker.stop();
});

/** A program of its own, as a supervisor runs it. `ended` is its exit code, null when it was killed. */
function start(...argv: string[]): {
  kill(signal: 'SIGKILL' | 'SIGTERM'): void;
  readonly ended: Promise<number | null>;
} {
  const args = [main, 'ledger', 'watch', '--database', broker.database.auditorUrl, ...argv];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  return { kill: (signal) => child.kill(signal), ended };
}

test('a stream killed in the middle goes on where the sink had taken all, and repeats one batch at most', async () => {
  const collector = await startCollector();
  try {
    const argv = ['--to', collector.url, '--state', folder.path('state')];
    let running = start(...argv);
    // Killed before the second batch is answered, then after the fourth is, whether or not that was written down.
    collector.react = (call) => {
      if (call === 2) running.kill('SIGKILL');
      return call === 2 ? running.ended.then(() => 'hang-up' as const) : { status: 200 };
    };
    assert.equal(await running.ended, null);
    assert.deepEqual(sequencesOf(collector.taken.flat()), upTo(250), 'one batch was answered');
    collector.react = (call) => {
      if (call === 4) setTimeout(() => running.kill('SIGKILL'), 1);
      return { status: 200 };
    };
    running = start(...argv);
    assert.equal(await running.ended, null);
    collector.react = () => ({ status: 200 });
    assert.equal(await start(...argv, '--once').ended, 0);
    const taken = collector.taken.flat();
    const uids = new Map(taken.map((line) => [(JSON.parse(line) as { metadata: { uid: string } }).metadata.uid, line]));
    assert.deepEqual(sequencesOf([...uids.values()]), upTo(size), 'nothing is lost');
    assert.ok(taken.length <= size + 250, `${taken.length - size} came again`);
  } finally {
    await collector.stop();
  }
});

test('a file whose writer is killed again and again holds each entry once in the end', async () => {
  const file = folder.path('ledger.jsonl');
  const length = async (): Promise<number> => (await stat(file).catch(() => null))?.size ?? 0;
  for (let round = 0; round < 3; round++) {
    const before = await length();
    const running = start('--to', file);
    while ((await length()) === before) await sleep(1);
    running.kill('SIGKILL');
    await running.ended;
    // As a crash of the machine would leave it: within a line.
    await truncate(file, Math.floor((await length()) * 0.7));
  }
  assert.equal(await start('--to', file, '--once').ended, 0);
  assert.deepEqual(sequencesOf(linesOf(await folder.read('ledger.jsonl'))), upTo(size));
});

test('SIGTERM ends a stream tidily', async () => {
  const collector = await startCollector();
  try {
    const running = start('--to', collector.url);
    collector.react = () => {
      running.kill('SIGTERM');
      return { status: 200 };
    };
    assert.equal(await running.ended, 0);
    assert.ok(collector.taken.length > 0);
  } finally {
    await collector.stop();
  }
});
