import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { decodeJwt } from 'jose';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { startIdentityProvider, type RunningIdentityProvider } from '../../src/development/identity-provider.ts';
import { startChromium } from '../support/chromium/browser.ts';
import { expectContrast, expectToFit, expectVisibleFocus, groundLuminance } from '../support/chromium/look.ts';

let browser: Browser;
let directory: string;
let provider: RunningIdentityProvider;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-pages-'));
  [browser, provider] = await Promise.all([
    startChromium(),
    startIdentityProvider({ port: 0, stateDirectory: directory }),
  ]);
});
after(async () => {
  await browser.close();
  await provider.stop();
  await rm(directory, { recursive: true });
});

async function open(t: TestContext, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.on('console', (message) => assert.notEqual(message.type(), 'error', message.text()));
  return page;
}

const title = (page: Page): Promise<string> => page.locator('h1').innerText();

/** What has the focus by itself has it only once the page is whole. */
async function waitForTitle(page: Page, text: string): Promise<void> {
  await page.locator('h1', { hasText: text }).waitFor();
  await page.waitForLoadState();
}

/** Every page there is, each reached as people reach it, by keys alone. */
async function walk(page: Page, look: (page: Page) => Promise<void>): Promise<string[]> {
  const titles: string[] = [];
  const see = async (text: string): Promise<void> => {
    await waitForTitle(page, text);
    titles.push(await title(page));
    await look(page);
  };
  const { user_code: code } = await startDevice();
  await page.goto(`${provider.issuer}/device`);
  await see('Enter the code');
  await page.keyboard.type('WXYZ-WXYZ');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  await see('Enter the code');
  await page.keyboard.type(code.toLowerCase());
  await page.keyboard.press('Enter');
  await see('Is this your code?');
  await page.keyboard.press('Enter');
  await see('Who are you today?');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await see('You are signed in as Ada Okafor');
  await page.goto(`${provider.issuer}/session/end`);
  await see('Sign out?');
  await page.keyboard.press('Enter');
  await see('You are signed out');
  return titles;
}

for (const [scheme, width] of [
  ['light', 320],
  ['dark', 375],
] as const) {
  test(`every text stands out on the ${scheme} pages, which fit a telephone of ${width} pixels`, async (t) => {
    const phone = { viewport: { width, height: 640 }, hasTouch: true, isMobile: true };
    const titles = await walk(await open(t, { ...phone, colorScheme: scheme }), async (page) => {
      const luminance = await groundLuminance(page);
      assert.ok(scheme === 'light' ? luminance > 0.8 : luminance < 0.05, `the ground has ${luminance}`);
      await expectContrast(page);
      await expectToFit(page);
    });
    assert.equal(titles.length, 7);
  });
}

test('keys alone lead through, what they are on is always seen, and Shift+Tab leads back', async (t) => {
  const page = await open(t);
  const { user_code: code } = await startDevice();
  await page.goto(`${provider.issuer}/device`);
  assert.equal(await expectVisibleFocus(page), 'user_code');
  await page.keyboard.type(code);
  await page.keyboard.press('Tab');
  assert.equal(await expectVisibleFocus(page), 'Continue');
  await page.keyboard.press('Space');
  await waitForTitle(page, 'Is this your code?');
  assert.equal(await expectVisibleFocus(page), 'Yes, continue');
  await page.keyboard.press('Tab');
  assert.equal(await expectVisibleFocus(page), 'Cancel');
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await waitForTitle(page, 'Who are you today?');
  for (const name of ['Ada', 'Ben', 'Chloé']) {
    await page.keyboard.press('Tab');
    assert.match(await expectVisibleFocus(page), new RegExp(name));
  }
  await page.keyboard.press('Shift+Tab');
  assert.match(await expectVisibleFocus(page), /Ben/);
  await page.keyboard.press('Enter');
  await waitForTitle(page, 'You are signed in as Ben Lindqvist');
});

test('the link of a terminal leads to the code without any typing, and cancelling there signs nobody in', async (t) => {
  const page = await open(t);
  const { user_code: code, device_code } = await startDevice();
  await page.goto(`${provider.issuer}/device?user_code=${code}`);
  await waitForTitle(page, 'Is this your code?');
  assert.equal(await page.locator('p.code').innerText(), code);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'Cancelled. Nobody was signed in.' }).waitFor();
  assert.equal((await poll(device_code))['error'], 'access_denied');
});

test('a code that is wrong, used or has run out is answered by a page that says so and asks again', async (t) => {
  const page = await open(t);
  const typeIn = async (code: string): Promise<void> => {
    await page.goto(`${provider.issuer}/device`);
    await waitForTitle(page, 'Enter the code');
    await page.keyboard.type(code);
    await page.keyboard.press('Enter');
  };
  const expectRefusal = async (code: string): Promise<void> => {
    const field = page.getByRole('textbox', { name: 'The code that your terminal shows' });
    await page
      .getByRole('alert')
      .filter({ hasText: `Nothing waits for ${code}: ` })
      .waitFor();
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    assert.equal(await expectVisibleFocus(page), 'user_code', 'one can type at once');
  };
  await typeIn('WXYZ-WXYZ');
  await expectRefusal('WXYZ-WXYZ');

  const used = await startDevice();
  await typeIn(used.user_code);
  await waitForTitle(page, 'Is this your code?');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Dmitri' }).click();
  await waitForTitle(page, 'You are signed in');
  await typeIn(used.user_code);
  await expectRefusal(used.user_code);

  const late = await startDevice();
  await typeIn(late.user_code);
  await waitForTitle(page, 'Is this your code?');
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 });
  await page.keyboard.press('Enter');
  await expectRefusal(late.user_code);
  assert.match((await poll(late.device_code))['error']!, /^(expired_token|invalid_grant)$/);
});

test('whoever takes too long to pick someone is told to start again', async (t) => {
  const page = await open(t);
  const { user_code: code } = await startDevice();
  await page.goto(`${provider.issuer}/device?user_code=${code}`);
  await page.getByRole('button', { name: 'Yes, continue' }).click();
  await waitForTitle(page, 'Who are you today?');
  page.removeAllListeners('console');
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 });
  await page.getByRole('button', { name: 'Ada' }).click();
  await waitForTitle(page, 'This sign-in is over');
  await expectContrast(page);
});

test('the code flow with PKCE leads back to the program that began it, with a code that is worth a token', async (t) => {
  const landed = Promise.withResolvers<URL>();
  const program = createServer((request, response) => {
    if (request.url?.startsWith('/callback')) landed.resolve(new URL(request.url, 'http://127.0.0.1'));
    response.end('back');
  });
  await new Promise<void>((listening) => program.listen(0, '127.0.0.1', listening));
  t.after(() => program.close());
  const verifier = randomBytes(32).toString('base64url');
  const parameters = {
    client_id: 'latchkey-cli',
    redirect_uri: `http://127.0.0.1:${(program.address() as AddressInfo).port}/callback`,
  };
  const query = new URLSearchParams({
    ...parameters,
    response_type: 'code',
    scope: 'openid profile',
    state: 'kept',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const page = await open(t);
  await page.goto(`${provider.issuer}/auth?${query.toString()}`);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  const { searchParams } = await landed.promise;
  assert.equal(searchParams.get('state'), 'kept');
  const tokens = await postForm('/token', {
    ...parameters,
    grant_type: 'authorization_code',
    code: searchParams.get('code')!,
    code_verifier: verifier,
  });
  assert.equal(decodeJwt(tokens['access_token']!)['name'], 'Ada Okafor');
});

test('an address without a page, and a request that is refused, are answered by designed pages', async (t) => {
  const page = await open(t, { colorScheme: 'dark', viewport: { width: 375, height: 640 } });
  page.removeAllListeners('console');
  for (const [path, status, text] of [
    ['/', 404, 'Nothing here'],
    ['/auth?client_id=stranger', 400, 'That did not work'],
    ['/interaction/none', 400, 'This sign-in is over'],
  ] as const) {
    const answer = await page.goto(provider.issuer + path);
    assert.equal(answer?.status(), status, path);
    await waitForTitle(page, text);
    await expectContrast(page);
    await expectToFit(page);
  }
});

async function startDevice(): Promise<{ device_code: string; user_code: string }> {
  const started = await postForm('/device/auth', { client_id: 'latchkey-cli', scope: 'openid' });
  return { device_code: started['device_code']!, user_code: started['user_code']! };
}

function poll(device_code: string): Promise<Record<string, string>> {
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
  return postForm('/token', { grant_type, client_id: 'latchkey-cli', device_code });
}

async function postForm(path: string, fields: Record<string, string>): Promise<Record<string, string>> {
  const answer = await fetch(provider.issuer + path, { method: 'POST', body: new URLSearchParams(fields) });
  return (await answer.json()) as Record<string, string>;
}
