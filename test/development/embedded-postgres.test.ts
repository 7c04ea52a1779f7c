import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedPostgres } from '../../src/development/embedded-postgres.ts';
import { serverAccount } from '../../src/development/postgres-account.ts';
import { prepareBinaries } from '../../src/development/postgres-binaries.ts';
import { processesOn, readServerFile } from '../../src/development/postgres-orphan.ts';
import { withClient } from '../../src/development/postgres-roles.ts';
import { spawnOnData } from '../../src/development/postgres-spawn.ts';

// What a clone in the home of root is like: no other account can enter.
const closed = mkdtempSync(join(tmpdir(), 'latchkey-embedded-'));
after(() => rmSync(closed, { recursive: true, force: true }));
const directory = join(closed, 'postgres');
const data = join(directory, 'data');

const said: string[] = [];
const start = () => startEmbeddedPostgres({ directory, log: (message) => said.push(message) });

test('a half-made data folder of a start that was broken off is thrown away', async () => {
  mkdirSync(join(directory, 'making-abc'), { recursive: true });
  const server = await start();
  await server.stop();
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.startsWith('making-')),
    [],
  );
});

test('the URLs are for the owner alone, and each signs in as its role', async () => {
  const server = await start();
  try {
    assert.equal(statSync(join(directory, 'urls.json')).mode & 0o777, 0o600);
    assert.equal(statSync(join(directory, 'superuser.json')).mode & 0o777, 0o600);
    const urls = JSON.parse(readFileSync(join(directory, 'urls.json'), 'utf8')) as Record<string, string>;
    assert.deepEqual(urls, { admin: server.adminUrl, app: server.appUrl, auditor: server.auditorUrl });
    for (const [role, url] of Object.entries(urls)) {
      const rows = await query(url, 'SELECT current_user AS role, current_database() AS database');
      assert.deepEqual(rows, [{ role: `latchkey_${role}`, database: 'latchkey' }]);
    }
    await assert.rejects(query(server.appUrl, 'CREATE TABLE mine ()'), /permission denied/);
    await assert.rejects(query(server.auditorUrl, 'CREATE ROLE mine'), /permission denied/);
    await assert.rejects(
      query(server.appUrl.replace(/:[^:@]+@/, ':wrong@'), 'SELECT'),
      /password authentication failed/,
    );
  } finally {
    await server.stop();
  }
});

test('a database of another major version is left alone, and it is said what it needs', async () => {
  const version = join(data, 'PG_VERSION');
  const made = readFileSync(version, 'utf8');
  writeFileSync(version, '16\n');
  try {
    await assert.rejects(
      start(),
      /is one of PostgreSQL 16, .* is of \d+: have `LATCHKEY_POSTGRES` name a folder .* of 16/,
    );
  } finally {
    writeFileSync(version, made);
  }
  await (await start()).stop();
});

test('it listens on loopback TCP alone, keeps checksums, and waits for the disk before it says committed', async () => {
  const server = await start();
  try {
    const rows = await query(
      server.superuserUrl,
      `SELECT name, setting FROM pg_settings WHERE name IN ('listen_addresses', 'unix_socket_directories',
       'data_checksums', 'fsync', 'synchronous_commit', 'full_page_writes', 'server_encoding') ORDER BY name`,
    );
    assert.deepEqual(Object.fromEntries(rows.map(({ name, setting }) => [name, setting])), {
      data_checksums: 'on',
      fsync: 'on',
      full_page_writes: 'on',
      listen_addresses: '127.0.0.1',
      server_encoding: 'UTF8',
      synchronous_commit: 'on',
      unix_socket_directories: '',
    });
  } finally {
    await server.stop();
  }
});

test('the next start finds the same port, the same URLs and what was committed', async () => {
  const first = await start();
  await query(first.adminUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  const second = await start();
  try {
    assert.deepEqual([second.port, second.adminUrl], [first.port, first.adminUrl]);
    assert.deepEqual(await query(second.adminUrl, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  } finally {
    await second.stop();
  }
});

test('a port that somebody else took meanwhile is left to them, and it says which one it took instead', async () => {
  const before = await start();
  await before.stop();
  const other = createServer().listen(before.port, '127.0.0.1');
  await once(other, 'listening');
  said.length = 0;
  const server = await start();
  try {
    assert.notEqual(server.port, before.port);
    assert.deepEqual(said, [`port ${before.port} is taken, so PostgreSQL listens on ${server.port}`]);
    assert.match(readFileSync(join(directory, 'urls.json'), 'utf8'), new RegExp(`127\\.0\\.0\\.1:${server.port}/`));
    assert.deepEqual(await query(server.appUrl, 'SELECT 1 AS one'), [{ one: 1 }]);
  } finally {
    await server.stop();
    other.close();
  }
});

test('stopping cuts off who is connected and takes no longer than promised', async () => {
  const server = await start();
  const cutOff = withClient(server.appUrl, async (client) => {
    client.on('error', () => {});
    await client.query('SELECT pg_sleep(60)');
  });
  const refused = assert.rejects(cutOff, /terminating connection|Connection terminated/);
  await sleep(200);
  const began = performance.now();
  await server.stop();
  assert.ok(performance.now() - began < 9_000);
  await refused;
});

test('a second process on the same directory is told which process has it', async () => {
  const holder = await startElsewhere();
  try {
    await assert.rejects(start(), {
      name: 'StateInUse',
      pid: holder.pid,
      message: new RegExp(`process ${holder.pid};`),
    });
  } finally {
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  }
  await (await start()).stop();
});

test('a kill -9 of whoever started it ends the server too, cleanly', async () => {
  const holder = await startElsewhere();
  const { pid } = readServerFile(data)!;
  holder.kill('SIGKILL');
  await until(() => processesOn(data, pid).length === 0);
  assert.equal(readServerFile(data), null, 'a clean end leaves no file behind');
});

test('a server that an earlier run left behind is stopped by the next start, which says so', async () => {
  const run = { data, account: serverAccount(data), logFile: join(directory, 'postgres.log') };
  const leftBehind = await spawnOnData(run, prepareBinaries().postgres, ['-c', 'unix_socket_directories=']);
  await until(() => readServerFile(data)?.ready === true);
  said.length = 0;
  const server = await start();
  try {
    assert.deepEqual(said, [`stopped PostgreSQL (process ${leftBehind.pid}), which an earlier run had left behind`]);
    assert.deepEqual(await query(server.appUrl, 'SELECT 1 AS one'), [{ one: 1 }]);
  } finally {
    await server.stop();
  }
});

test('what was committed is there after a kill -9 of everything', async () => {
  const holder = await startElsewhere();
  const { admin } = JSON.parse(readFileSync(join(directory, 'urls.json'), 'utf8')) as { admin: string };
  await query(admin, 'CREATE TABLE survives AS SELECT 7 AS answer');
  const { pid } = readServerFile(data)!;
  process.kill(pid, 'SIGKILL');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const server = await start();
  try {
    assert.deepEqual(await query(server.adminUrl, 'SELECT answer FROM survives'), [{ answer: 7 }]);
  } finally {
    await server.stop();
  }
});

test('a process that was given the number of a server long gone is left alone and keeps no server from starting', async () => {
  const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { cwd: '/' });
  await once(bystander, 'spawn');
  writeFileSync(join(data, 'postmaster.pid'), `${bystander.pid}\n${data}\n1\n5432\n\n127.0.0.1\n  1  1\nready   \n`);
  try {
    await (await start()).stop();
    assert.equal(bystander.exitCode ?? bystander.signalCode, null);
  } finally {
    bystander.kill();
  }
});

test('without its superuser file it says what is missing instead of starting over', async () => {
  const path = join(directory, 'superuser.json');
  const content = readFileSync(path);
  rmSync(path);
  await assert.rejects(start(), /superuser\.json` is missing or damaged; bring it back/);
  writeFileSync(path, content, { mode: 0o600 });
  await (await start()).stop();
});

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  return withClient(url, async (client) => (await client.query<Record<string, unknown>>(sql)).rows);
}

function startElsewhere(): Promise<ChildProcess> {
  return hold(directory);
}

/** Another process that runs a server in the directory until it is killed. */
async function hold(where: string): Promise<ChildProcess> {
  const module = new URL('../../src/development/embedded-postgres.ts', import.meta.url).href;
  const script = `const { startEmbeddedPostgres } = await import(${JSON.stringify(module)});
    await startEmbeddedPostgres({ directory: ${JSON.stringify(where)} });
    process.stdout.write('ready');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, 'it did not happen within ten seconds');
    await sleep(20);
  }
}
