import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newTestBroker, people, type TestBroker } from '../support/broker.ts';
import { callText, say, type RawAnswer } from '../support/raw-http.ts';

let broker: TestBroker;
let url: string;
let token: string;
let bearer: readonly [string, string];
before(async () => {
  broker = await newTestBroker();
  url = broker.brokers[0]!.url;
  token = await broker.issuer.tokenFor(people.ada);
  bearer = ['Authorization', `Bearer ${token}`];
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
});

const json = ['Content-Type', 'application/json'] as const;

function assertProblem(answer: RawAnswer | undefined, status: number, code: string): void {
  assert.ok(answer, 'there was no answer');
  assert.equal(answer.status, status, answer.body);
  assert.equal((JSON.parse(answer.body) as { type: string }).type, `urn:latchkey:problem:${code}`);
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
  assert.match(answer.headers['x-request-id'] ?? '', /^[\w.-]{8,64}$/);
}

const once = async (text: string): Promise<RawAnswer | undefined> => (await say(url, text)).answers[0];

describe('every answer', () => {
  test('carries a request id, its caller’s own where that is harmless', async () => {
    const own = await once(callText('GET', '/livez', [['X-Request-Id', 'build-7.trace_19']]));
    assert.equal(own?.headers['x-request-id'], 'build-7.trace_19');
    for (const bad of ['short', 'x'.repeat(65), 'a"b c<d>e', '12345678;x=1']) {
      const answer = await once(callText('GET', '/livez', [['X-Request-Id', bad]]));
      assert.match(answer?.headers['x-request-id'] ?? '', /^[0-9a-f-]{36}$/, bad);
    }
  });

  test('is guarded against being read as something else, and says nothing of what made it', async () => {
    for (const path of ['/livez', '/v1/me', '/v1/profiles', '/nowhere', '/openapi.json', '/.well-known/jwks.json']) {
      const answer = await once(callText('GET', path, [bearer]));
      assert.equal(answer?.headers['x-content-type-options'], 'nosniff', path);
      assert.equal(answer?.headers['content-security-policy'], "default-src 'none';frame-ancestors 'none'", path);
      assert.equal(answer?.headers['x-frame-options'], 'SAMEORIGIN', path);
      assert.ok(answer?.headers['strict-transport-security'], path);
      assert.equal(answer?.headers['x-powered-by'], undefined, path);
      assert.equal(answer?.headers['server'], undefined, path);
      assert.equal(answer?.headers['access-control-allow-origin'], undefined, path);
      const mayBeKept = path === '/.well-known/jwks.json' ? 'public, max-age=60' : 'no-store';
      assert.equal(answer?.headers['cache-control'], mayBeKept, path);
    }
  });
});

describe('addresses and methods', () => {
  test('a path that is not offered is 404, in any spelling and with or without a token', async () => {
    const paths = [
      '/',
      '/v1',
      '/v1/',
      '/v2/me',
      '/V1/me',
      '/v1/me/',
      '//v1/me',
      '/v1//me',
      '/v1/me;x=1',
      '/admin',
      '/.env',
    ];
    for (const path of [...paths, '/v1/../livez', '/v1/%2e%2e/livez', '/v1/requests/../../livez', '/__proto__', '/*']) {
      assertProblem(await once(callText('GET', path)), 404, 'not-found');
      assertProblem(await once(callText('GET', path, [bearer])), 404, 'not-found');
    }
  });

  test('broken percent-encoding is 400', async () => {
    for (const path of ['/v1/requests/%', '/v1/requests/%zz', '/v1/tenants/%c0%af', '/v1/grants/%ff/revoke']) {
      assertProblem(await once(callText('GET', path.replace('/revoke', ''), [bearer])), 400, 'invalid-request');
    }
  });

  test('a NUL in a query or in a path gets as far as its check', async () => {
    assertProblem(await once(callText('GET', '/v1/devices?q=%00', [bearer])), 400, 'invalid-request');
    assertProblem(await once(callText('GET', '/v1/devices?tenant=%00', [bearer])), 400, 'invalid-request');
    assertProblem(await once(callText('GET', '/v1/requests/%00', [bearer])), 404, 'not-found');
    assert.equal((await once(callText('GET', '/v1/devices?q=%ff%ed%a0%80', [bearer])))?.status, 200);
  });

  test('another method is 405 and says which there are', async () => {
    const cases = [
      ['DELETE', '/v1/requests', 'POST, GET, HEAD'],
      ['PATCH', '/v1/grants/grt_00000000000000000000000000', 'GET, HEAD'],
      ['OPTIONS', '/v1/me', 'GET, HEAD'],
      ['TRACE', '/v1/me', 'GET, HEAD'],
      ['PUT', '/livez', 'GET, HEAD'],
      ['QUERY', '/v1/devices', 'POST, GET, HEAD'],
    ] as const;
    for (const [method, path, allow] of cases) {
      const answer = await once(callText(method, path, [bearer, ['X-Secret', 'never-echoed']]));
      assertProblem(answer, 405, 'method-not-allowed');
      assert.deepEqual(answer!.headers['allow']?.split(', ').sort(), allow.split(', ').sort(), `${method} ${path}`);
      assert.doesNotMatch(answer!.body, /never-echoed/);
    }
    const oauth = await once(callText('GET', '/oauth2/token'));
    assert.equal(oauth?.status, 405);
    assert.equal((JSON.parse(oauth.body) as { error: string }).error, 'invalid_request');
  });

  test('a method that no server knows is refused before it is one', async () => {
    assertProblem(await once(callText('FROBNICATE', '/v1/me')), 400, 'invalid-request');
  });

  test('HEAD answers as GET without the body, streams too', async () => {
    const { answers } = await say(
      url,
      callText('HEAD', '/v1/me', [bearer]).replace('Host', 'Connection: close\r\nHost'),
    );
    assert.equal(answers[0]?.status, 200);
    const [device] = broker.contoso.devices;
    const { body } = await device!.signIn();
    const response = await fetch(`${url}/v1/agent/stream`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${body['access_token']}` },
      signal: AbortSignal.timeout(3_000),
    });
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.equal(await response.text(), '');
  });

  test('no header changes the method or the address', async () => {
    const overrides = ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'] as const;
    for (const name of overrides) {
      const answer = await once(callText('GET', '/v1/requests?limit=1', [bearer, [name, 'POST']]));
      assert.equal(answer?.status, 200);
    }
    assertProblem(await once(callText('POST', '/v1/me?_method=GET', [bearer])), 405, 'method-not-allowed');
    for (const name of ['X-Original-URL', 'X-Rewrite-URL', 'X-Forwarded-Prefix']) {
      assertProblem(await once(callText('GET', '/nowhere', [bearer, [name, '/v1/me']])), 404, 'not-found');
    }
  });
});

describe('the token', () => {
  test('counts in one `Authorization` header and nowhere else', async () => {
    assertProblem(await once(callText('GET', `/v1/me?access_token=${token}`)), 401, 'unauthenticated');
    assertProblem(await once(callText('GET', `/v1/me?access_token=${token}`, [bearer])), 400, 'invalid-request');
    assertProblem(await once(callText('GET', '/v1/me', [['Cookie', `access_token=${token}`]])), 401, 'unauthenticated');
    assertProblem(await once(callText('GET', '/v1/me', [bearer, bearer])), 401, 'unauthenticated');
    const other = ['Authorization', `Bearer ${await broker.issuer.tokenFor(people.olu)}`] as const;
    assertProblem(await once(callText('GET', '/v1/me', [other, bearer])), 401, 'unauthenticated');
    for (const value of [
      token,
      `Basic ${token}`,
      `DPoP ${token}`,
      `Bearer  ${token}`,
      `Bearer ${token}, Bearer x`,
      'Bearer',
    ]) {
      assertProblem(await once(callText('GET', '/v1/me', [['Authorization', value]])), 401, 'unauthenticated');
    }
    const form = ['Content-Type', 'application/x-www-form-urlencoded'] as const;
    assertProblem(
      await once(callText('POST', '/v1/requests', [form], `access_token=${token}`)),
      401,
      'unauthenticated',
    );
  });

  test('is asked for as RFC 6750 says, and a refusal tells nothing of why', async () => {
    const none = await once(callText('GET', '/v1/me'));
    assert.match(none?.headers['www-authenticate'] ?? '', /^Bearer/);
    const broken = await once(callText('GET', '/v1/me', [['Authorization', `Bearer ${token.slice(0, -6)}AAAAAA`]]));
    assertProblem(broken, 401, 'unauthenticated');
  });

  test('at `/oauth2/token` every error is one of RFC 6749', async () => {
    const form = ['Content-Type', 'application/x-www-form-urlencoded'] as const;
    const assertion = 'client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer';
    const cases: readonly (readonly [status: number, error: string, text: string])[] = [
      [400, 'invalid_request', callText('POST', '/oauth2/token', [form], 'a=b')],
      [400, 'invalid_request', callText('POST', '/oauth2/token', [form], 'grant_type=a&grant_type=b')],
      [
        400,
        'unsupported_grant_type',
        callText('POST', '/oauth2/token', [form], `grant_type=password&${assertion}&client_assertion=x`),
      ],
      [
        401,
        'invalid_client',
        callText('POST', '/oauth2/token', [form], `grant_type=client_credentials&${assertion}&client_assertion=x`),
      ],
      [415, 'invalid_request', callText('POST', '/oauth2/token', [json], '{}')],
      [413, 'invalid_request', callText('POST', '/oauth2/token', [form], 'a'.repeat(70_000))],
      [404, 'invalid_request', callText('POST', '/oauth2/authorize', [form], 'a=b')],
    ];
    for (const [status, error, text] of cases) {
      const answer = await once(text);
      assert.equal(answer?.status, status, `${error}: ${answer?.body}`);
      assert.equal((JSON.parse(answer.body) as { error: string }).error, error);
      assert.match(answer.headers['content-type'] ?? '', /^application\/json/);
      assert.equal(answer.headers['cache-control'], 'no-store');
    }
  });
});

describe('what is not quite HTTP', () => {
  const host = 'Host: latchkey.test\r\n';
  const broken: readonly (readonly [name: string, text: string, status: number])[] = [
    ['rubbish', '\u0000\u0001\u0002 hello\r\n\r\n', 400],
    ['a TLS greeting', '\u0016\u0003\u0001\u0002\u0000\u0001\r\n\r\n', 400],
    ['no `Host`', 'GET /livez HTTP/1.1\r\n\r\n', 400],
    ['two lengths', `POST /v1/requests HTTP/1.1\r\n${host}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, 400],
    [
      'a length and chunks',
      `POST /v1/requests HTTP/1.1\r\n${host}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ['a length below zero', `POST /v1/requests HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n`, 400],
    ['chunks disguised', `POST /v1/requests HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n`, 400],
    ['space before the colon', `GET /v1/me HTTP/1.1\r\n${host}Authorization : Bearer x\r\n\r\n`, 400],
    ['a header over two lines', `GET /v1/me HTTP/1.1\r\n${host}X-A: b\r\n c: d\r\n\r\n`, 400],
    ['a bare line feed', `GET /livez HTTP/1.1\n${host}\n`, 400],
    ['a header with NUL', `GET /v1/me HTTP/1.1\r\n${host}X-A: a\u0000b\r\n\r\n`, 400],
    ['headers beyond 32 KiB', `GET /livez HTTP/1.1\r\n${host}X-A: ${'a'.repeat(40_000)}\r\n\r\n`, 413],
  ];
  for (const [name, text, status] of broken) {
    test(`${name} is ${status}`, async () => {
      const { answers, closedAfter } = await say(url, Buffer.from(text, 'latin1'), 500);
      const code = status === 413 ? 'too-large' : 'invalid-request';
      assertProblem(answers[0], status, code);
      assert.equal(answers.length, 1);
      if (name !== 'no `Host`') assert.notEqual(closedAfter, null, 'the connection is of no more use');
    });
  }

  test('rubbish behind a whole call is never taken for that call’s answer', async () => {
    const call = callText('GET', '/v1/me', [bearer]);
    const { answers, closedAfter } = await say(url, `${call}\u0001rubbish\r\n\r\n`, 500);
    assert.notEqual(closedAfter, null);
    for (const { status } of answers.slice(0, 1)) assert.equal(status, 200);
    assert.ok(answers.length <= 2);
  });

  test('calls sent in one breath are answered in their order', async () => {
    const paths = ['/v1/me', '/livez', '/nowhere', '/v1/profiles', '/v1/me?x=1', '/readyz'];
    const { answers } = await say(url, paths.map((path) => callText('GET', path, [bearer])).join(''), 500);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 404, 200, 400, 200],
    );
  });

  test('an expectation is met or passed over', async () => {
    const wish = JSON.stringify({
      profile: 'diagnose',
      devices: [broker.contoso.devices[0]!.id],
      duration: 'PT1M',
      reason: 'x',
    });
    for (const expected of ['100-continue', 'tea']) {
      const answer = await once(callText('POST', '/v1/requests', [bearer, json, ['Expect', expected]], wish));
      assert.equal(answer?.status, 201, answer?.body);
      assert.ok(answer.headers['x-request-id']);
    }
  });

  test('an upgrade is not offered, nor is a tunnel', async () => {
    const answer = await once(
      callText('GET', '/livez', [
        ['Connection', 'Upgrade'],
        ['Upgrade', 'websocket'],
      ]),
    );
    assert.equal(answer?.status, 200);
    const { answers, closedAfter } = await say(url, 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n');
    assert.deepEqual(answers, []);
    assert.notEqual(closedAfter, null);
  });
});
