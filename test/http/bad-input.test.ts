import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { newTestBroker, people, type Reply, type TestBroker } from '../support/broker.ts';
import { callText, say } from '../support/raw-http.ts';

let broker: TestBroker;
let url: string;
let bearer: readonly [string, string];
let wish: Record<string, unknown>;
before(async () => {
  broker = await newTestBroker();
  url = broker.brokers[0]!.url;
  bearer = ['Authorization', `Bearer ${await broker.issuer.tokenFor(people.ada)}`];
  wish = { profile: 'diagnose', devices: [broker.contoso.devices[0]!.id], duration: 'PT5M', reason: 'panel frozen' };
});
after(async () => {
  await broker.checkLedger();
  await broker.stop();
});

const requests = async (): Promise<number> => (await broker.events('request.submitted')).length;

/** Every refusal looks alike: a problem document of the code, nothing of the inside, and a request id. */
function assertProblem(reply: Reply, status: number, code: string): void {
  assert.equal(reply.status, status, JSON.stringify(reply.body));
  assert.equal(reply.body.type, `urn:latchkey:problem:${code}`);
  assert.equal(reply.body.status, status);
  assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.match(reply.headers.get('x-request-id') ?? '', /^[\w.-]{8,64}$/);
  assert.equal(reply.headers.get('cache-control'), 'no-store');
  assert.doesNotMatch(JSON.stringify(reply.body), /node_modules|\bat .*\.ts|src\/|SELECT|INSERT|postgres/);
}

const ask = (body: unknown, headers: Record<string, string> = {}): Promise<Reply> =>
  broker.call('ada', 'POST', '/v1/requests', body, { headers });

describe('bodies', () => {
  test('one larger than 64 KiB is 413, whether its length is declared or not', async () => {
    assertProblem(await ask({ ...wish, reason: 'x'.repeat(66_000) }), 413, 'too-large');
    const chunk = `${(9_000).toString(16)}\r\n${'x'.repeat(9_000)}\r\n`;
    const headers = [bearer, ['Content-Type', 'application/json'], ['Transfer-Encoding', 'chunked']] as const;
    const { answers, closedAfter } = await say(url, callText('POST', '/v1/requests', headers) + chunk.repeat(9), 500);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [413],
    );
    assert.notEqual(closedAfter, null, 'what is left of the body would be taken for the next call');
  });

  test('one of exactly 64 KiB is read', async () => {
    const text = JSON.stringify(wish);
    const padded = text + ' '.repeat(65_536 - text.length);
    assert.equal((await ask(padded)).status, 201);
    assertProblem(await ask(`${padded} `), 413, 'too-large');
  });

  const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
  const texts: readonly (readonly [name: string, body: string, pointer?: string])[] = [
    ['text that is not JSON', '{"profile":'],
    ['nothing but space', '   '],
    ['a word of JavaScript', 'undefined'],
    ['a number', '7'],
    ['a string', '"diagnose"'],
    ['null', 'null'],
    ['an array', '[]', ''],
    ['an array around the right thing', '[{}]', ''],
    ['nesting deeper than 32 levels', nested(40)],
    ['nesting far deeper than any stack', nested(10_000)],
    ['an array nested far deeper than any stack', `${'['.repeat(30_000)}${']'.repeat(30_000)}`],
    ['a member named twice', '{"profile":"diagnose","profile":"break-glass"}'],
    ['a member named twice, once in escapes', '{"reason":"a","re\\u0061son":"b"}'],
    ['text after the end', '{} {}'],
    ['a byte order mark', '\ufeff{}'],
    ['a comment', '/* */ {}'],
  ];
  for (const [name, body, pointer] of texts) {
    test(`${name} is 400`, async () => {
      const reply = await ask(body);
      assertProblem(reply, 400, 'invalid-request');
      if (pointer !== undefined) assert.equal(reply.body.errors[0].pointer, pointer);
    });
  }

  const spoilt: readonly (readonly [name: string, more: Record<string, unknown>, pointer: string])[] = [
    ['an unknown member', { sudo: true }, '/sudo'],
    ['a number where a text belongs', { reason: 7 }, '/reason'],
    ['null where a text belongs', { reason: null }, '/reason'],
    ['an object where a text belongs', { reason: { $ne: '' } }, '/reason'],
    ['a text where a list belongs', { devices: 'dev_all' }, '/devices'],
    ['an empty list', { devices: [] }, '/devices'],
    ['a list too long', { devices: Array.from({ length: 51 }, () => 'dev_00000000000000000000000000') }, '/devices'],
    ['a reason too long', { reason: 'x'.repeat(2_001) }, '/reason'],
    ['a reason of nothing but space', { reason: ' \u3000\n' }, '/reason'],
    ['a NUL', { reason: 'a\0b' }, '/reason'],
    ['half a surrogate pair', { ticket: 'a\ud800b' }, '/ticket'],
    ['a NUL in the name of a member', { 'a\0': 1 }, ''],
    ['a duration in months', { duration: 'P1M' }, '/duration'],
    ['a duration of nothing', { duration: 'PT0S' }, '/duration'],
    ['a duration beyond any integer', { duration: 'P99999D' }, '/duration'],
    ['a negative duration', { duration: '-PT5M' }, '/duration'],
    ['a time without a zone', { startsAt: '2036-01-01T00:00:00' }, '/startsAt'],
    ['a day that is in no calendar', { startsAt: '2036-02-30T00:00:00Z' }, '/startsAt'],
    ['an hour that is on no clock', { startsAt: '2036-02-01T25:00:00Z' }, '/startsAt'],
    ['a start in the past', { startsAt: '2001-01-01T00:00:00Z' }, '/startsAt'],
    ['a profile that there is not', { profile: 'root' }, '/profile'],
    ['a profile named as what every object has', { profile: 'constructor' }, '/profile'],
    ['a profile that is a path', { profile: '../../etc/passwd' }, '/profile'],
    ['a device that there is not', { devices: ['dev_00000000000000000000000000'] }, '/devices/0'],
  ];
  for (const [name, more, pointer] of spoilt) {
    test(`${name} is 400 and says where`, async () => {
      const reply = await ask({ ...wish, ...more });
      assertProblem(reply, 400, 'invalid-request');
      assert.ok(
        reply.body.errors.some((mistake: { pointer: string }) => mistake.pointer === pointer),
        JSON.stringify(reply.body),
      );
    });
  }

  test('of many mistakes each is told, and not more than twenty', async () => {
    const reply = await ask({ profile: 1, devices: 2, duration: 3, extra: 4 });
    assert.deepEqual(reply.body.errors.map((mistake: { pointer: string }) => mistake.pointer).sort(), [
      '/devices',
      '/duration',
      '/extra',
      '/profile',
      '/reason',
    ]);
    const flood = Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`m${index}`, index]));
    assert.equal((await ask({ ...wish, ...flood })).body.errors.length, 20);
  });

  test('a number beyond what a double holds is refused, also deep inside of facts', async () => {
    const [device] = broker.contoso.devices;
    const body = '{"facts":{"a":[1,{"b":1e999}]}}';
    await device!.signIn();
    const reply = await broker.call(null, 'PUT', '/v1/agent/state', body, {
      headers: { authorization: `Bearer ${(await device!.signIn()).body['access_token']}` },
    });
    assertProblem(reply, 400, 'invalid-request');
    assert.equal(reply.body.errors[0].pointer, '/facts/a/1/b');
  });
});

describe('what no object should take over', () => {
  const poisons = [
    '{"__proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    '{"prototype":{"polluted":true}}',
    '{"\\u005f_proto__":{"polluted":true}}',
    '{"toString":1,"hasOwnProperty":1}',
  ];
  test('prototypes stay as they are, whatever the body names', async () => {
    for (const poison of poisons) {
      const reply = await ask(JSON.stringify(wish).slice(0, -1) + `,${poison.slice(1)}`);
      assertProblem(reply, 400, 'invalid-request');
    }
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });

  test('and whatever the query or the facts of a device name', async () => {
    for (const query of ['__proto__=1', '__proto__[polluted]=1', 'constructor[prototype][polluted]=1', 'toString=1']) {
      assertProblem(await broker.call('ada', 'GET', `/v1/requests?${query}`), 400, 'invalid-request');
    }
    const [, device] = broker.contoso.devices;
    const facts = '{"hostname":"studio","nested":{"__proto__":{"polluted":true},"constructor":{"prototype":{"a":1}}}}';
    const { body } = await device!.signIn();
    const kept = await broker.call(null, 'PUT', '/v1/agent/state', `{"facts":${facts}}`, {
      headers: { authorization: `Bearer ${body['access_token']}` },
    });
    assert.equal(kept.status, 200);
    assert.equal((await ask({ ...wish, devices: [device!.id] })).status, 201, 'policy reads the facts');
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
    assert.equal(({} as { a?: unknown }).a, undefined);
  });

  test('nobody assigns what is the broker’s to say', async () => {
    const before = await requests();
    const said = { state: 'granted', grant: {}, id: 'req_00000000000000000000000000', requester: { id: 'per_x' } };
    const also = { stages: [], decisions: [], scopes: ['*'], createdAt: '2026-01-01T00:00:00Z', tenant: 'ten_x' };
    for (const [name, value] of Object.entries({ ...said, ...also })) {
      const reply = await ask({ ...wish, profile: 'remediate', [name]: value });
      assertProblem(reply, 400, 'invalid-request');
      assert.deepEqual(reply.body.errors, [{ pointer: `/${name}`, message: 'is not known here' }]);
    }
    const request = await broker.ask('ada', 'remediate');
    for (const more of [
      { by: 'per_x' },
      { at: '2020-01-01T00:00:00Z' },
      { narrow: { until: 1 } },
      { state: 'granted' },
    ]) {
      const path = `/v1/requests/${request.id}/decisions`;
      assertProblem(await broker.call('chloe', 'POST', path, { verdict: 'approve', ...more }), 400, 'invalid-request');
    }
    assert.equal((await broker.call('ada', 'GET', `/v1/requests/${request.id}`)).body.state, 'pending');
    const tenant = { name: 'contoso', region: 'EU' };
    for (const more of [{ id: 'ten_x' }, { slug: 'other' }]) {
      assertProblem(
        await broker.call('olu', 'PUT', '/v1/tenants/contoso', { ...tenant, ...more }),
        400,
        'invalid-request',
      );
    }
    assert.equal(await requests(), before + 1);
  });
});

describe('how a body is sent', () => {
  const json = (): string => JSON.stringify(wish);
  const headers: readonly (readonly [name: string, headers: Record<string, string>])[] = [
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['plain text', { 'content-type': 'text/plain' }],
    ['a type that only looks like JSON', { 'content-type': 'application/json5' }],
    ['JSON among other things', { 'content-type': 'text/plain, application/json' }],
    ['a patch', { 'content-type': 'application/merge-patch+json' }],
    ['UTF-16', { 'content-type': 'application/json; charset=utf-16' }],
    ['Latin-1', { 'content-type': 'application/json;charset="iso-8859-1"' }],
  ];
  for (const [name, given] of headers) {
    test(`${name} is 415`, async () => assertProblem(await ask(json(), given), 415, 'unsupported-media-type'));
  }

  test('a type that says UTF-8 is right in any spelling', async () => {
    for (const type of ['application/json;charset=utf-8', 'Application/JSON; Charset="UTF-8"']) {
      assert.equal((await ask(json(), { 'content-type': type })).status, 201);
    }
  });

  test('no type at all is 415', async () => {
    const { answers } = await say(url, callText('POST', '/v1/requests', [bearer], json()));
    assert.equal(answers[0]!.status, 415);
  });

  test('a compressed body is 415, however well it unpacks', async () => {
    const packed = gzipSync('x'.repeat(10_000_000));
    for (const encoding of ['gzip', 'GZIP', 'br', 'identity, gzip', 'deflate']) {
      const response = await fetch(`${url}/v1/requests`, {
        method: 'POST',
        headers: { [bearer[0]]: bearer[1], 'content-type': 'application/json', 'content-encoding': encoding },
        body: packed,
      });
      assert.equal(response.status, 415, encoding);
    }
  });

  test('bytes that are not UTF-8 are 400', async () => {
    const head = callText('POST', '/v1/requests', [
      bearer,
      ['Content-Type', 'application/json'],
      ['Content-Length', '4'],
    ]);
    const { answers } = await say(url, [head, Buffer.from([0x22, 0xc0, 0xaf, 0x22])]);
    assert.equal(answers[0]!.status, 400);
  });

  test('no body is 400 where one is needed, and none where it is not', async () => {
    const reply = await broker.call('ada', 'POST', '/v1/requests');
    assertProblem(reply, 400, 'invalid-request');
    const grant = await broker.grant('ada', 'diagnose');
    for (const body of ['null', '[]', '0', '""']) {
      const wrong = await broker.call('ada', 'POST', `/v1/grants/${grant.id}/release`, body);
      assertProblem(wrong, 400, 'invalid-request');
    }
    assert.equal((await broker.call('ada', 'POST', `/v1/grants/${grant.id}/release`)).status, 200);
  });
});
