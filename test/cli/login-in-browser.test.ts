import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import {
  developmentProviderConfig,
  startIdentityProvider,
  type RunningIdentityProvider,
} from '../../src/development/identity-provider.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { startChromium } from '../support/chromium/browser.ts';

// The command as a process, a broker, an identity provider and a browser: everything that has a part in a sign-in.

const program = fileURLToPath(new URL('../../scripts/latchkey.mjs', import.meta.url));

let directory: string;
let provider: RunningIdentityProvider;
let broker: TestBroker;
let browser: Browser;
const children: ChildProcess[] = [];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-login-'));
  provider = await startIdentityProvider({ port: 0, stateDirectory: join(directory, 'provider') });
  const identityProviders = [developmentProviderConfig(provider.issuer)];
  [broker, browser] = await Promise.all([newTestBroker({ identityProviders }), startChromium()]);
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await browser.close();
  await broker.checkLedger();
  await broker.stop();
  await provider.stop();
  await rm(directory, { recursive: true });
});

/** Types a command line; what it says is read while it runs. */
function type(...line: string[]) {
  const child = spawn(process.execPath, [program, ...line], {
    env: { ...process.env, LATCHKEY_CONFIG_DIR: join(directory, 'config') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (said.stdout += piece));
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (said.stderr += piece));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { said, ended, more: () => Promise.race([once(child.stdout, 'data'), ended]) };
}

/** Begins to sign in, and opens the link that the command shows. */
async function beginLogin(): Promise<{ login: ReturnType<typeof type>; page: Page }> {
  const login = type('login', broker.config.publicUrl, '--provider', provider.issuer);
  const shown = /(http\S+\/device\?user_code=\S+)[^]*?^ +([A-Z]{4}-[A-Z]{4})$/m;
  while (!shown.test(login.said.stdout)) assert.ok(Array.isArray(await login.more()), login.said.stderr);
  const [, link, code] = shown.exec(login.said.stdout)! as unknown as [string, string, string];
  const page = await browser.newPage();
  await page.goto(link);
  await page.getByText(code, { exact: true }).waitFor();
  return { login, page };
}

test('`latchkey login` and somebody in a browser sign in together, and the command says as whom', async () => {
  const { login, page } = await beginLogin();
  await page.getByRole('button', { name: 'Yes, continue' }).click();
  await page.getByRole('button', { name: 'Priya Raman' }).click();
  await page.getByRole('heading', { name: 'You are signed in as Priya Raman' }).waitFor();

  assert.equal(await login.ended, 0, login.said.stderr);
  assert.match(login.said.stdout, new RegExp(`signed in to ${broker.config.publicUrl} as Priya Raman, for `));
  const whoami = type('whoami', '--json');
  assert.equal(await whoami.ended, 0, whoami.said.stderr);
  const me = JSON.parse(whoami.said.stdout) as { name: string; teams: string[] };
  assert.deepEqual([me.name, me.teams], ['Priya Raman', ['privacy-office']]);
});

test('when whoever sits at the browser cancels, `latchkey login` says so and nobody is signed in', async () => {
  await type('logout').ended;
  const { login, page } = await beginLogin();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('alert').filter({ hasText: 'Nobody was signed in' }).waitFor();

  assert.equal(await login.ended, 3);
  assert.match(login.said.stderr, /the sign-in was declined in the browser/);
  assert.equal(await type('whoami').ended, 4);
});
