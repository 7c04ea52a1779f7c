import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openNote } from '../../src/ledger/note-signatures.ts';
import { parseVkey } from '../../src/ledger/vkey.ts';
import { parseWitnessConfig, WitnessConfigError } from '../../src/witness/config.ts';
import { addCheckpoint, newTestLog } from './support.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const log = newTestLog();
const other = newTestLog('other.test');
let directory: string;
let file: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-witness-'));
  file = join(directory, 'witness.json');
  await writeFile(file, JSON.stringify(configuration()));
});
after(() => rm(directory, { recursive: true, force: true }));

function configuration() {
  return {
    listen: { host: '127.0.0.1', port: 0 },
    name: 'witness.test/w1',
    state: join(directory, 'state'),
    logs: [log, other].map(({ origin, vkey }) => ({ origin, key: vkey })),
  };
}

interface Program {
  readonly child: ChildProcess;
  readonly url: string;
  readonly vkey: string;
  end(signal: NodeJS.Signals): Promise<number | null>;
}

async function start(): Promise<Program> {
  const child = spawn(process.execPath, [main, 'witness', '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  for await (const line of createInterface(child.stdout)) {
    const { message, url, vkey } = JSON.parse(line) as { message: string; url: string; vkey: string };
    if (message !== 'ready') continue;
    return {
      child,
      url,
      vkey,
      async end(signal) {
        child.kill(signal);
        return ((await ended) as [number | null])[0];
      },
    };
  }
  throw new Error('the witness did not start');
}

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, [main, 'witness', ...args]).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
}

test('its key is made at the first start, for nobody else to read, and its verifier key printed', async () => {
  const asked = await run('--config', file, '--vkey');
  assert.equal(asked.code, 0, asked.stderr);
  const key = parseVkey(asked.stdout.trim());
  assert.deepEqual([key.name, key.kind], ['witness.test/w1', 'cosignature']);
  assert.equal((await stat(join(directory, 'state', 'key.pem'))).mode & 0o777, 0o600);
  const program = await start();
  assert.equal(program.vkey, asked.stdout.trim());
  assert.equal(await program.end('SIGTERM'), 0);
});

test('killed in the middle of its work, it still knows all that it cosigned', async () => {
  let program = await start();
  let cosigned = 0;
  for (let kill = 0; kill < 3; kill++) {
    const victim = program;
    const killing = new Promise((resolve) => setTimeout(resolve, 60 + kill * 45)).then(() => victim.end('SIGKILL'));
    for (;;) {
      const answer = await addCheckpoint(victim.url, log.body(cosigned, cosigned + 1)).catch(() => null);
      if (answer?.status !== 200) break;
      cosigned += 1;
    }
    await killing;
    program = await start();
    // It may have kept one that it no longer came to answer for, and never one fewer.
    const asked = await addCheckpoint(program.url, log.body(cosigned, cosigned));
    const known = asked.status === 200 ? cosigned : Number(asked.body);
    assert.ok(known === cosigned || known === cosigned + 1, `${known} after ${cosigned}`);
    cosigned = known;
  }
  assert.ok(cosigned > 3, `${cosigned} checkpoints were cosigned`);
  const size = cosigned + 1;
  assert.equal((await addCheckpoint(program.url, log.body(cosigned, size, 'another'))).status, 422);
  const { body } = await addCheckpoint(program.url, log.body(cosigned, size));
  const { verified } = openNote(log.checkpoint(size) + body, [log.key, parseVkey(program.vkey)]);
  assert.equal(verified.length, 2);
  await program.end('SIGTERM');
});

test('a second one on the same state is turned away', async () => {
  const program = await start();
  const second = await run('--config', file);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /is in use by/);
  await program.end('SIGTERM');
});

test('what it kept and cannot read keeps it from starting, rather than from remembering', async () => {
  const state = join(directory, 'state');
  await chmod(join(state, 'key.pem'), 0o644);
  assert.match((await run('--config', file)).stderr, /open to other users/);
  await chmod(join(state, 'key.pem'), 0o600);
  const [kept] = (await readdir(state)).filter((name) => name.endsWith('.checkpoint'));
  await truncate(join(state, kept!), 20);
  const refused = await run('--config', file);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /cannot be read; restore it/);
});

function mistakesOf(change: (config: ReturnType<typeof configuration>) => unknown): string[] {
  try {
    parseWitnessConfig(change(configuration()));
  } catch (error) {
    if (error instanceof WitnessConfigError) return error.mistakes.map(({ pointer }) => pointer);
    throw error;
  }
  return [];
}

test('every mistake of its configuration is told at once, each with its place', async () => {
  assert.deepEqual(
    mistakesOf((config) => config),
    [],
  );
  assert.deepEqual(
    mistakesOf(() => null),
    [''],
  );
  assert.deepEqual(
    mistakesOf(() => ({})),
    ['/listen', '/name', '/state', '/logs'],
  );
  const wrong = {
    listen: { host: '', port: 70_000, backlog: 4 },
    name: 'two words',
    state: 4,
    logs: [
      { origin: 'a', key: 'b' },
      { origin: 'c\nd', key: log.vkey, 'x/y': 1 },
      { origin: log.origin, key: log.vkey },
      { origin: log.origin, key: log.vkey },
    ],
    colour: 'red',
  };
  const expected = ['/colour', '/listen/backlog', '/listen/host', '/listen/port', '/name', '/state'];
  const ofLogs = ['/logs/0/key', '/logs/1/x~1y', '/logs/1/origin', '/logs/3'];
  assert.deepEqual(mistakesOf(() => wrong).sort(), [...expected, ...ofLogs].sort());
  const path = join(directory, 'wrong.json');
  await writeFile(path, JSON.stringify(wrong));
  const refused = await run('--config', path);
  assert.equal(refused.code, 2);
  for (const pointer of [...expected, ...ofLogs]) assert.match(refused.stderr, new RegExp(`  ${pointer}: `));
  assert.equal((await run('--config', join(directory, 'none.json'))).code, 2);
  assert.equal((await run()).code, 2);
});

test('a ledger may have two keys, and a witness’s key is none of them', () => {
  const [first] = configuration().logs;
  const another = { origin: log.origin, key: newTestLog(log.origin).vkey };
  assert.deepEqual(
    mistakesOf((config) => ({ ...config, logs: [first, another] })),
    [],
  );
  const key = 'witness.test+1f0d4c5e+BAAA';
  assert.deepEqual(
    mistakesOf((config) => ({ ...config, logs: [{ ...first, key }] })),
    ['/logs/0/key'],
  );
});
