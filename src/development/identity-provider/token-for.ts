import { clientId } from './configuration.ts';

/**
 * Gets an access token the way a person does with a terminal and a browser: device authorization (RFC 8628), the
 * code confirmed, somebody picked, all over http and by the forms of the real pages.
 * @throws Error naming the step that did not go as it should.
 */
export async function tokenFor(issuer: string, username: string): Promise<string> {
  const started = await postForm(`${issuer}/device/auth`, { client_id: clientId, scope: 'openid profile' });
  const { device_code: deviceCode, user_code: userCode } = await readJson(started, 'device authorization');
  await signIn(issuer, String(userCode), username);
  const answer = await postForm(`${issuer}/token`, {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    device_code: String(deviceCode),
    client_id: clientId,
  });
  const { access_token: accessToken } = await readJson(answer, 'the token');
  return String(accessToken);
}

async function signIn(issuer: string, userCode: string, username: string): Promise<void> {
  const browser = createBrowser(issuer);
  const entry = await browser.get('/device');
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(entry.page)?.[1] ?? '';
  const confirmed = await browser.post('/device', { xsrf, user_code: userCode, confirm: 'yes' });
  const picked = await browser.post(requireRedirect(confirmed, 'the code'), { person: username });
  const done = await browser.get(requireRedirect(picked, `picking \`${username}\``));
  if (done.status !== 200) throw new Error(`signing \`${username}\` in failed with ${done.status}`);
}

interface Answer {
  readonly status: number;
  readonly location: string | null;
  readonly page: string;
}

function createBrowser(issuer: string) {
  const cookies = new Map<string, string>();

  async function visit(path: string, init: RequestInit): Promise<Answer> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const url = new URL(path, issuer);
    const response = await fetch(url, { ...init, headers: { cookie }, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(';', 1)[0]!.split('=', 2) as [string, string];
      if (value) cookies.set(name, value);
      else cookies.delete(name);
    }
    return { status: response.status, location: response.headers.get('location'), page: await response.text() };
  }

  return {
    get: (path: string) => visit(path, {}),
    post: (path: string, fields: Record<string, string>) =>
      visit(path, { method: 'POST', body: new URLSearchParams(fields) }),
  };
}

function requireRedirect({ status, location }: Answer, step: string): string {
  if (location === null) throw new Error(`${step} was not accepted: ${status}`);
  return location;
}

function postForm(url: string, fields: Record<string, string>): Promise<Response> {
  return fetch(url, { method: 'POST', body: new URLSearchParams(fields), redirect: 'error' });
}

async function readJson(response: Response, step: string): Promise<Record<string, unknown>> {
  if (!response.ok) throw new Error(`${step} failed with ${response.status}: ${await response.text()}`);
  return (await response.json()) as Record<string, unknown>;
}
