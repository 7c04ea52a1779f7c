import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCli, type ServerCommand } from '../../src/cli/main.ts';

async function type(line: readonly string[]): Promise<{ code: number; stdout: string; ran: string[][] }> {
  const ran: string[][] = [];
  let stdout = '';
  const command = (name: string, code: number): ServerCommand => ({
    name,
    summary: `what ${name} is for`,
    run: async (argv) => {
      ran.push([name, ...argv]);
      return code;
    },
  });
  const code = await runCli(line, {
    stdout: { write: (text) => void (stdout += String(text)) },
    stderr: { write: () => undefined },
    env: {},
    now: Date.now,
    signal: new AbortController().signal,
    serverCommands: [command('serve', 0), command('ledger', 7)],
  });
  return { code, stdout, ran };
}

test('server commands stand under a heading of their own and get everything after their name', async () => {
  const { stdout } = await type(['--help']);
  assert.match(stdout, /\nRunning the server:\n {2}serve +what serve is for\n {2}ledger +what ledger is for\n/);
  const { code, ran } = await type(['ledger', 'verify', '--url', 'x', '--help']);
  assert.equal(code, 7);
  assert.deepEqual(ran, [['ledger', 'verify', '--url', 'x', '--help']]);
});

test('help of a server command is that command’s own', async () => {
  assert.deepEqual((await type(['help', 'serve'])).ran, [['serve', '--help']]);
});

test('the version is the package’s', async () => {
  const { code, stdout } = await type(['--version']);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});
