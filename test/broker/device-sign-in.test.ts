import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeJwt, decodeProtectedHeader, generateKeyPair, SignJWT } from 'jose';
import { people } from '../support/broker.ts';
import { ok, scenarios } from './support/scenario.ts';

scenarios((broker) => {
  const device = () => broker().contoso.devices[0]!;
  const now = (): number => Math.floor(Date.now() / 1_000);
  const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

  const token = async (
    form: Record<string, string>,
  ): Promise<{ status: number; body: Record<string, unknown>; cache: string | null }> => {
    const response = await fetch(`${broker().brokers[0]!.url}/oauth2/token`, {
      method: 'POST',
      body: new URLSearchParams(form),
    });
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
      cache: response.headers.get('cache-control'),
    };
  };
  const form = (assertion: string): Record<string, string> => ({
    grant_type: 'client_credentials',
    client_assertion_type: assertionType,
    client_assertion: assertion,
  });

  test('an assertion of a device’s key gets a bearer token of five minutes', async () => {
    const { status, body, cache } = await token(form(await device().assertion()));
    assert.equal(status, 200);
    assert.equal(cache, 'no-store');
    assert.deepEqual([body['token_type'], body['expires_in']], ['Bearer', 300]);
    const text = String(body['access_token']);
    assert.equal(decodeProtectedHeader(text).typ, 'latchkey-agent+jwt');
    const { sub, iss, aud, iat, exp } = decodeJwt(text);
    const url = broker().config.publicUrl;
    assert.deepEqual([sub, iss, aud, exp! - iat!], [device().id, url, url, 300]);
    const untyped = await device().assertion({}, { typ: undefined });
    assert.equal((await token(form(untyped))).status, 200);
    assert.equal((await token({ ...form(await device().assertion()), client_id: device().id })).status, 200);
  });

  test('an assertion that is not just so is refused, always alike', async () => {
    const other = broker().contoso.devices[1]!;
    const foreign = (await generateKeyPair('ES256')).privateKey;
    const url = broker().config.publicUrl;
    const jti = crypto.randomUUID();
    await token(form(await device().assertion({ jti })));
    const assertions: [string, Promise<string> | string][] = [
      ['for another audience', device().assertion({ aud: 'http://elsewhere.example' })],
      ['for two audiences', device().assertion({ aud: [url, 'http://elsewhere.example'] })],
      ['for no audience', device().assertion({ aud: undefined })],
      ['in another’s name', device().assertion({ iss: other.id, sub: other.id })],
      ['issued by another', device().assertion({ iss: other.id })],
      ['about another', device().assertion({ sub: other.id })],
      ['about nobody', device().assertion({ sub: undefined })],
      [
        'about a device that never was',
        device().assertion({ iss: 'dev_01h455vb4pex5vsknk084sn02q', sub: 'dev_01h455vb4pex5vsknk084sn02q' }),
      ],
      [
        'of a foreign key',
        new SignJWT({ iss: device().id, sub: device().id, aud: url, jti: 'x', exp: now() + 30 })
          .setProtectedHeader({ alg: 'ES256' })
          .sign(foreign),
      ],
      ['of another type', device().assertion({}, { typ: 'at+jwt' })],
      ['of the enrolment type', device().assertion({}, { typ: 'latchkey-enrolment+jwt' })],
      ['over already', device().assertion({ exp: now() - 1 })],
      ['without end', device().assertion({ exp: undefined })],
      ['good for too long', device().assertion({ exp: now() + 90 })],
      ['good for a moment too long', device().assertion({ exp: now() + 63 })],
      ['not good yet', device().assertion({ nbf: now() + 50 })],
      ['without a `jti`', device().assertion({ jti: undefined })],
      ['with an empty `jti`', device().assertion({ jti: '' })],
      ['with a `jti` used before', device().assertion({ jti })],
      [
        'padded',
        device()
          .assertion()
          .then((text) => `${text}=`),
      ],
      ['no JWT', 'rubbish'],
    ];
    for (const [name, assertion] of assertions) {
      const { status, body } = await token(form(await assertion));
      assert.ok([400, 401].includes(status), `${name}: ${status}`);
      if (!['padded', 'no JWT'].includes(name))
        assert.deepEqual([status, body['error']], [401, 'invalid_client'], name);
      assert.equal(body['access_token'], undefined, name);
      assert.equal(body['type'], undefined, 'errors are RFC 6749 JSON');
    }
    const wrongClient = await token({ ...form(await device().assertion()), client_id: other.id });
    assert.deepEqual([wrongClient.status, wrongClient.body['error']], [401, 'invalid_client']);
  });

  test('an assertion counts once among all brokers', async () => {
    const assertion = await device().assertion();
    const statuses = [];
    for (const { url } of [...broker().brokers, ...broker().brokers]) {
      statuses.push(
        (await fetch(`${url}/oauth2/token`, { method: 'POST', body: new URLSearchParams(form(assertion)) })).status,
      );
    }
    assert.deepEqual(statuses, [200, ...statuses.slice(1).map(() => 401)]);
  });

  test('other grants, types and forms are refused as RFC 6749 says', async () => {
    const assertion = await device().assertion();
    const wrongGrant = await token({ ...form(assertion), grant_type: 'password' });
    assert.deepEqual([wrongGrant.status, wrongGrant.body['error']], [400, 'unsupported_grant_type']);
    const wrongType = await token({ ...form(assertion), client_assertion_type: 'saml' });
    assert.deepEqual([wrongType.status, wrongType.body['error']], [400, 'invalid_request']);
    const nothing = await token({});
    assert.deepEqual([nothing.status, nothing.body['error']], [400, 'invalid_request']);
    assert.equal((await token(form(assertion))).status, 200, 'none of them used it up');
  });

  test('a device’s token opens the routes of devices, and a person’s none of them', async () => {
    await device().signIn();
    assert.equal((await device().call('GET', '/v1/agent/live-grants')).status, 200);
    for (const path of ['/v1/me', '/v1/requests', '/v1/devices', '/v1/alarms', '/v1/policies']) {
      assert.equal((await device().call('GET', path)).status, 401, path);
    }
    for (const who of ['ada', 'olu'] as const) {
      assert.equal((await broker().call(who, 'GET', '/v1/agent/live-grants')).status, 401);
    }
    const idToken = await broker().issuer.tokenFor(people.ada);
    const bearer = { headers: { authorization: `Bearer ${idToken}x` } };
    assert.equal((await broker().call(null, 'GET', '/v1/agent/live-grants', undefined, bearer)).status, 401);
  });

  test('what a device says of itself is shown, and its door is one that can be pinned', async () => {
    const state = (body: object) => device().call('PUT', '/v1/agent/state', body);
    const door = { url: 'https://10.0.0.7:8443/door', certificateSha256: 'A'.repeat(43) };
    assert.equal((await state({ inUse: true, facts: { serial: 'SN-9', hostname: 'boardroom' }, door })).status, 200);
    const shown = await ok(broker().call('ada', 'GET', `/v1/devices/${device().id}`));
    assert.deepEqual([shown.inUse, shown.door, shown.facts.serial], [true, door, 'SN-9']);
    assert.ok(Math.abs(Date.parse(shown.lastSeenAt) - Date.now()) < 10_000);
    await state({ inUse: false });
    assert.deepEqual(
      (await ok(broker().call('ada', 'GET', `/v1/devices/${device().id}`))).door,
      door,
      'what is absent stays',
    );
    const doors = [
      { url: 'http://10.0.0.7:8443/door' },
      { url: 'https://10.0.0.7:8443/door' },
      { url: 'javascript:alert(1)' },
      { url: 'https://user:word@10.0.0.7/', certificateSha256: 'A'.repeat(43) },
    ];
    for (const bad of doors) assert.equal((await state({ door: bad })).status, 400, bad.url);
    assert.equal((await state({ door: null })).status, 200);
    assert.equal((await ok(broker().call('ada', 'GET', `/v1/devices/${device().id}`))).door, null);
  });
});
