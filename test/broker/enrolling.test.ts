import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { newTestDevice, type TestDevice } from '../support/device.ts';
import { ok, refused, scenarios } from './support/scenario.ts';

scenarios((broker) => {
  const newCode = async (tenant: string = broker().contoso.id): Promise<string> =>
    (await ok(broker().call('olu', 'POST', '/v1/enrolment-codes', { tenant }), 201)).code;
  const newDevice = (): Promise<TestDevice> => newTestDevice(broker().config.publicUrl, broker().brokers[0]!.url);
  const post = (body: object) => broker().call(null, 'POST', '/v1/devices', body);

  test('a device that enrols is told who it is and whom it is to trust', async () => {
    const device = await newDevice();
    const facts = { serial: 'SN-1', make: 'Contoso', model: 'Panel 7', hostname: 'atrium-2', floors: [1, 2] };
    const reply = await post(await device.enrolment(await newCode(), facts));
    assert.equal(reply.status, 201);
    const { id, enrolledAt, ledgerKey, ...rest } = reply.body;
    assert.match(id, /^dev_/);
    assert.equal(reply.headers.get('location'), `/v1/devices/${id}`);
    assert.match(ledgerKey, /^latchkey\.test\/eu\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$/);
    assert.ok(Math.abs(Date.parse(enrolledAt) - Date.now()) < 5_000);
    const url = broker().config.publicUrl;
    assert.deepEqual(rest, {
      tenant: broker().contoso.id,
      name: 'atrium-2',
      state: 'enrolled',
      facts,
      door: null,
      inUse: false,
      lastSeenAt: null,
      issuer: url,
      jwksUri: `${url}/.well-known/jwks.json`,
    });
    const [event] = (await broker().events('device.enrolled')).filter((each) => each.device === id);
    assert.deepEqual(event.actor, { kind: 'device', id });
    assert.equal(event.tenant, broker().contoso.id);
    assert.ok(!JSON.stringify(event).includes(device.publicJwk.x!), 'no keys in the ledger');
  });

  test('a code ends in 80 bits of a hash over issuer and ledger key', async () => {
    const code = await newCode();
    const { ledgerKey } = (await (await newDevice()).enrol(code)).body as { ledgerKey: string };
    const digest = createHash('sha256').update(`${broker().config.publicUrl}\n${ledgerKey}`).digest();
    const letters = 'abcdefghijkmnpqrstuvwxyz23456789';
    let bits = BigInt(`0x${digest.subarray(0, 10).toString('hex')}`);
    let expected = '';
    for (let i = 0; i < 16; i++, bits >>= 5n) expected = letters[Number(bits & 31n)]! + expected;
    assert.match(code, /^[a-z2-9]{16}-[a-z2-9]{16}$/);
    assert.equal(code.split('-')[1], expected);
  });

  test('a code is good for an hour, and kept as a hash only', async () => {
    const { code, expiresAt } = await ok(
      broker().call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker().contoso.id }),
      201,
    );
    assert.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 3_600_000) < 5_000);
    const hash = createHash('sha256').update(code).digest();
    await broker().sql.query(
      `UPDATE enrolment_codes SET created_at = created_at - interval '1 hour', expires_at = expires_at - interval '1 hour'
       WHERE code_hash = $1`,
      [hash],
    );
    const late = await newDevice();
    assert.equal((await late.enrol(code)).status, 403);
  });

  test('a used or unknown code is refused alike, and a broken-off enrolment uses none up', async () => {
    const code = await newCode();
    const device = await newDevice();
    const spoilt = { ...(await device.enrolment(code)), publicKey: (await newDevice()).publicJwk };
    refused(await post(spoilt), 400, '/proof');
    assert.equal((await device.enrol(code)).status, 201);
    const used = await post(await (await newDevice()).enrolment(code));
    const unknown = await post(await (await newDevice()).enrolment(`${'a'.repeat(16)}-${code.split('-')[1]}`));
    refused(used, 403);
    refused(unknown, 403);
    assert.equal(used.body.detail, unknown.body.detail);
  });

  test('a key enrols once, also under other codes and for other tenants', async () => {
    const device = await newDevice();
    assert.equal((await device.enrol(await newCode())).status, 201);
    const code = await newCode(broker().fabrikam.id);
    assert.equal((await device.enrol(code)).status, 409);
    assert.equal((await (await newDevice()).enrol(code)).status, 201, 'the code was not used up');
  });

  test('the proof must be of this key, for this broker, this code, and fresh', async () => {
    const code = await newCode();
    const device = await newDevice();
    const good = await device.enrolment(code);
    const other = await newDevice();
    const seconds = Math.floor(Date.now() / 1_000);
    const url = broker().config.publicUrl;
    const sign = (claims: object, header: object = {}, key = device.privateKey): Promise<string> =>
      new SignJWT({ code, aud: url, iat: seconds, ...claims })
        .setProtectedHeader({ alg: 'ES256', typ: 'latchkey-enrolment+jwt', ...header })
        .sign(key);
    const ps = await generateKeyPair('ES384');
    const proofs: [string, Promise<string> | string][] = [
      ['none', ''],
      ['of another key', sign({}, {}, other.privateKey)],
      ['of another algorithm', sign({}, { alg: 'ES384' }, ps.privateKey)],
      ['of another type', sign({}, { typ: 'JWT' })],
      ['an assertion', device.assertion({ code })],
      ['for another broker', sign({ aud: 'http://elsewhere.example' })],
      ['for two brokers', sign({ aud: [url, 'http://elsewhere.example'] })],
      ['of another code', sign({ code: 'another' })],
      ['of no code', sign({ code: undefined })],
      ['of no time', sign({ iat: undefined })],
      ['of an hour ago', sign({ iat: seconds - 3_600 })],
      ['of the next hour', sign({ iat: seconds + 3_600 })],
      ['not canonical', `${String(good['proof'])}=`],
    ];
    for (const [name, proof] of proofs) {
      const reply = await post({ ...good, proof: await proof });
      assert.equal(reply.status, 400, name);
      assert.ok(
        reply.body.errors.some((error: { pointer: string }) => error.pointer === '/proof'),
        name,
      );
    }
    assert.equal((await post(good)).status, 201);
  });

  test('only an EC key on P-256, without its private half, enrols', async () => {
    const code = await newCode();
    const device = await newDevice();
    const good = await device.enrolment(code);
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    const keys: object[] = [
      { ...device.publicJwk, crv: 'P-384' },
      { ...device.publicJwk, d: (await exportJWK(device.privateKey)).d },
      { ...device.publicJwk, x: 'AA' },
      { ...device.publicJwk, y: device.publicJwk.x },
      await exportJWK(publicKey),
      await exportJWK(privateKey),
      { kty: 'oct', k: 'AAAA' },
    ];
    for (const publicKey of keys) refused(await post({ ...good, publicKey }), 400);
    refused(await post({ ...good, tenant: broker().fabrikam.id }), 400, '/tenant');
    refused(await post({ ...good, facts: { __proto__: undefined, 'not a name': 1 } }), 400);
  });

  test('operators make codes, for tenants that exist', async () => {
    const make = (who: 'ada' | 'chloe' | 'carmen' | 'aud' | 'olu', tenant: string) =>
      broker().call(who, 'POST', '/v1/enrolment-codes', { tenant });
    for (const who of ['ada', 'chloe', 'carmen', 'aud'] as const) refused(await make(who, broker().contoso.id), 403);
    refused(await make('olu', 'ten_01h455vb4pex5vsknk084sn02q'), 400, '/tenant');
    refused(await make('olu', 'contoso'), 400, '/tenant');
    const codes = await Promise.all([newCode(), newCode()]);
    assert.notEqual(codes[0], codes[1]);
    const kept = JSON.stringify((await broker().sql.query('SELECT * FROM enrolment_codes')).rows);
    for (const code of codes) assert.ok(!kept.includes(code.split('-')[0]!));
  });

  test('tenants are made and renamed by operators, in the broker’s region only', async () => {
    const put = (slug: string, body: object, who: 'olu' | 'chloe' = 'olu') =>
      broker().call(who, 'PUT', `/v1/tenants/${slug}`, body);
    const made = await put('northwind', { name: 'Northwind', region: 'EU' });
    assert.equal(made.status, 201);
    assert.deepEqual({ ...made.body, id: null }, { id: null, slug: 'northwind', name: 'Northwind', region: 'EU' });
    const renamed = await ok(put('northwind', { name: 'Northwind Traders', region: 'EU' }));
    assert.deepEqual(renamed, { ...made.body, name: 'Northwind Traders' });
    await ok(put('northwind', { name: 'Northwind Traders', region: 'EU' }));
    const changes = (await broker().events('tenant.changed')).filter((event) => event.tenant === made.body.id);
    assert.equal(changes.length, 2, 'what changes nothing is no event');
    assert.deepEqual(await ok(broker().call('olu', 'GET', '/v1/tenants/northwind')), renamed);
    const abroad = await put('tailspin', { name: 'Tailspin', region: 'US' });
    refused(abroad, 409);
    assert.match(abroad.body.detail, /`EU`/);
    refused(await put('northwind', { name: 'N', region: 'MARS' }), 400, '/region');
    refused(await put('northwind', { name: '', region: 'EU' }), 400, '/name');
    refused(await put('Northwind', { name: 'N', region: 'EU' }), 404);
    refused(await put('northwind', { name: 'N', region: 'EU' }, 'chloe'), 403);
  });
});
