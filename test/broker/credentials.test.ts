import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, importJWK, jwtVerify, type JWK } from 'jose';
import { people, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { mint, ok, reasonsOf, refused, scenarios, sleep } from './support/scenario.ts';

interface PublishedKey extends JWK {
  readonly kid: string;
  readonly latchkey_typ: string[];
}

const publishedKeys = async (broker: TestBroker): Promise<PublishedKey[]> =>
  (await ok(broker.call(null, 'GET', '/.well-known/jwks.json'))).keys;

scenarios((broker) => {
  test('a credential says what the contract says, and nothing else', async () => {
    const devices = broker().contoso.devices.map(({ id }) => id);
    const grant = await broker().grant('ada', 'remediate', { devices, duration: 'PT30M' });
    const key = await newEngineerKey();
    const reply = await mint(broker(), 'ada', grant, { key, device: devices[1]! });
    assert.equal(reply.status, 201);
    assert.equal(reply.headers.get('cache-control'), 'no-store');
    const { credential, tokenType, expiresAt } = reply.body;
    assert.equal(tokenType, 'DPoP');
    const { alg, typ, kid, ...noMore } = decodeProtectedHeader(credential);
    assert.deepEqual([alg, typ, noMore], ['ES256', 'at+jwt', {}]);
    const published = (await publishedKeys(broker())).find((each) => each.kid === kid)!;
    assert.deepEqual(published.latchkey_typ, ['at+jwt']);
    assert.equal(kid, await calculateJwkThumbprint(published));
    await jwtVerify(credential, await importJWK(published, 'ES256'), { typ: 'at+jwt' });

    const { jti, iat, nbf, exp, ...claims } = decodeJwt(credential);
    assert.match(jti!, /^crd_/);
    assert.deepEqual(claims, {
      iss: broker().config.publicUrl,
      sub: grant.person.id,
      aud: `urn:latchkey:device:${devices[1]}`,
      client_id: 'latchkey',
      scope: grant.scopes.join(' '),
      grant: grant.id,
      tenant: grant.tenant,
      cnf: { jkt: await calculateJwkThumbprint(key.publicJwk) },
    });
    assert.ok(Number.isInteger(iat) && nbf === iat && Math.abs(iat! * 1_000 - Date.now()) < 5_000);
    assert.ok(exp! > iat! && exp! - iat! <= 600);
    assert.equal(Date.parse(expiresAt), exp! * 1_000);
    const said = Buffer.from(credential.split('.')[1], 'base64url').toString();
    for (const personal of ['Ada', 'Okafor', '@', 'provider.example']) assert.ok(!said.includes(personal), personal);

    const [event] = (await broker().events('credential.issued')).filter((each) => each.jti === jti);
    const { decision, ...issued } = event;
    assert.match(decision, /^[A-Za-z0-9_-]{43}$/);
    assert.deepEqual(
      [issued.grant, issued.device, issued.person, issued.scopes, issued.iat, issued.nbf, issued.exp],
      [grant.id, devices[1], grant.person.id, grant.scopes, iat, nbf, exp],
    );
  });

  test('a credential never outlives its grant: its end is rounded down', async () => {
    const grant = await broker().grant('ada', 'diagnose', { duration: 'PT8S' });
    const { body } = await mint(broker(), 'ada', grant);
    assert.equal(decodeJwt(body.credential).exp, Math.floor(Date.parse(grant.expiresAt) / 1_000));
  });

  test('a narrowed grant makes narrowed credentials, for its devices only', async () => {
    const { id, devices } = await broker().grant('ada', 'diagnose');
    const [, other] = broker().contoso.devices;
    refused(await mint(broker(), 'ada', { id, devices }, { device: other!.id }), 400, '/device');
    refused(await mint(broker(), 'ada', { id, devices }, { device: broker().fabrikam.devices[0]!.id }), 400, '/device');
    refused(await mint(broker(), 'ada', { id, devices }, { device: 'boardroom' }), 400, '/device');
  });

  test('only the holder mints', async () => {
    const grant = await broker().grant('ada', 'diagnose');
    for (const who of ['chloe', 'olu', 'carmen', 'aud'] as const) refused(await mint(broker(), who, grant), 403);
    for (const who of ['ben', 'felix', 'nobody'] as const) refused(await mint(broker(), who, grant), 404);
    refused(await mint(broker(), 'ada', { ...grant, id: 'grt_01h455vb4pex5vsknk084sn02q' }), 404);
  });

  test('the first credential fixes the key: another is refused, and the holder is told', async () => {
    const grant = await broker().grant('ada', 'diagnose');
    const [key, another] = [await newEngineerKey(), await newEngineerKey()];
    assert.equal((await mint(broker(), 'ada', grant, { key })).status, 201);
    assert.equal((await mint(broker(), 'ada', grant, { key })).status, 201, 'the same key again');
    refused(await mint(broker(), 'ada', grant, { key: another }), 409);
    const { items } = await ok(broker().call('ada', 'GET', '/v1/notices'));
    const told = items.find(
      (each: { subject: string; kind: string }) => each.subject === grant.id && each.kind === 'another-key-refused',
    );
    assert.match(told.text, /another key/);
    const elsewhere = await broker().grant('ada', 'diagnose');
    assert.equal((await mint(broker(), 'ada', elsewhere, { key: another })).status, 201, 'each grant has its own');
  });

  test('policy is asked at every mint: who has lost the right since gets nothing', async () => {
    const trained = { ...people.ada, sub: 'expiring', email: 'expiring@provider.example' };
    const validUntil = new Date(Date.now() + 4_000).toISOString();
    const expiring = { ...trained, trainingValidUntil: validUntil };
    const { grant } = await broker().ask(expiring, 'diagnose');
    const key = await newEngineerKey();
    assert.equal((await mint(broker(), expiring, grant, { key })).status, 201);
    await sleep(Date.parse(validUntil) - Date.now() + 30);
    assert.deepEqual(reasonsOf(await mint(broker(), expiring, grant, { key })), ['training-is-valid']);
    refused(await mint(broker(), { ...trained, teams: ['auditors'] }, grant, { key }), 403);
    const events = (await broker().events('request.refused')).filter((each) => each.subject === grant.id);
    assert.deepEqual(
      events.map(({ action }) => action),
      ['mint', 'mint'],
    );
    assert.equal((await mint(broker(), trained, grant, { key })).status, 201, 'and with the right back, again');
  });

  test('what has not begun or is over gets no credential', async () => {
    const startsAt = new Date(Date.now() + 60_000).toISOString();
    const { grant: later } = await broker().ask('ada', 'diagnose', { startsAt });
    refused(await mint(broker(), 'ada', later), 409);
    await ok(broker().call('ada', 'POST', `/v1/grants/${later.id}/release`));
    refused(await mint(broker(), 'ada', later), 409);
  });

  test('the same idempotency key gets the same credential, for the same key only', async () => {
    const grant = await broker().grant('ada', 'diagnose');
    const key = await newEngineerKey();
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const first = await mint(broker(), 'ada', grant, { key, headers });
    const again = await mint(broker(), 'ada', grant, { key, headers });
    assert.deepEqual([again.status, again.body], [201, first.body]);
    refused(await mint(broker(), 'ada', grant, { headers }), 409);
    const { rows } = await broker().sql.query('SELECT answer FROM idempotent_answers WHERE key = $1', [
      headers['idempotency-key'],
    ]);
    assert.ok(!rows[0].answer.toString('latin1').includes(first.body.credential.slice(0, 30)), 'kept sealed');
  });

  test('every published key says what it may sign, and no two do the same', async () => {
    const keys = await publishedKeys(broker());
    const types = keys.flatMap((each) => each.latchkey_typ);
    assert.deepEqual(types.toSorted(), ['at+jwt', 'latchkey-agent+jwt', 'live-grants+jwt', 'local-secret+jwt']);
    for (const each of keys) {
      assert.deepEqual(
        Object.keys(each).filter((name) => ['d', 'p', 'q', 'k'].includes(name)),
        [],
      );
      assert.deepEqual([each.kty, each.crv, each.alg, each.use], ['EC', 'P-256', 'ES256', 'sig']);
    }
    assert.equal(new Set(keys.map(({ kid }) => kid)).size, keys.length);
  });
});
