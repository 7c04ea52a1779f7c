import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../src/development/start.ts', import.meta.url));

interface Started {
  readonly child: ChildProcess;
  readonly text: () => string;
  readonly ended: Promise<number | null>;
}

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-start-'));
});
after(() => rm(directory, { recursive: true, force: true }));

function start(): Started {
  const child = spawn(process.execPath, [program], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (text += data.toString()));
  return { child, text: () => text, ended: once(child, 'exit').then(([code]) => code as number | null) };
}

async function untilWelcome(started: Started): Promise<string> {
  const gone = started.ended.then(() => true);
  for (;;) {
    const [url] = /(?<=API +)http:\S+/.exec(started.text()) ?? [];
    if (url) return url;
    const ended = await Promise.race([gone, new Promise<false>((r) => setTimeout(() => r(false), 50))]);
    assert.ok(!ended, `it ended instead of starting: ${started.text()}`);
  }
}

function postgresRuns(): boolean {
  const file = join(directory, '.latchkey/postgres/data/postmaster.pid');
  if (!existsSync(file)) return false;
  try {
    process.kill(Number(readFileSync(file, 'utf8').split('\n')[0]), 0);
    return true;
  } catch {
    return false;
  }
}

test('npm start brings up everything, keeps others off its state, survives a kill -9 and ends with Ctrl-C', async () => {
  const first = start();
  const url = await untilWelcome(first);
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
  for (const name of ['ada', 'chloe', 'carmen', 'aud', 'boardroom', 'studio', 'atrium', 'npm run']) {
    assert.ok(first.text().includes(name), `the welcome does not mention ${name}`);
  }

  const second = start();
  assert.equal(await second.ended, 1);
  assert.match(second.text(), new RegExp(`process ${first.child.pid}`));
  assert.equal((await fetch(`${url}/readyz`)).status, 200, 'the second start disturbed the first');

  first.child.kill('SIGKILL');
  await first.ended;

  const third = start();
  assert.equal(await untilWelcome(third), url, 'it came back somewhere else');
  third.child.kill('SIGINT');
  assert.equal(await third.ended, 0);
  assert.ok(!postgresRuns(), 'PostgreSQL outlived what started it');
});
