import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { compactDecrypt, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { newId } from '../../src/domain/ids.ts';
import { refused } from '../broker/support/scenario.ts';
import { sign } from '../broker/support/door.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import {
  fetchSecret,
  newOneTimeKey,
  newSetDevice,
  openReleased,
  secretProof,
  type PasswordDevice,
} from '../support/passwords.ts';

/** Everybody who wants a password that is not theirs to have. */
let broker: TestBroker;
let room: PasswordDevice & { readonly first: string };
let key: EngineerKey;
before(async () => {
  broker = await newTestBroker({ brokers: 2 });
  room = await newSetDevice(broker);
  key = await newEngineerKey();
});
after(async () => {
  try {
    await broker.checkLedger();
  } finally {
    await broker.stop();
  }
});

const granted = () => broker.grant('ada', 'release-secret', { devices: [room.device.id] });
const releasesOn = async (grant: { readonly id: string }): Promise<number> =>
  (await broker.events('secret.released')).filter((event) => event.grant === grant.id).length;

describe('a request that was seen on the way', () => {
  it('is worth nothing a second time, and its answer nothing to whoever else reads it', async () => {
    const [grant, oneTime] = [await granted(), await newOneTimeKey()];
    const proof = await secretProof(broker, grant, { key, oneTime });
    const reply = await fetchSecret(broker, 'ada', grant, { proof });
    await openReleased(reply, oneTime);
    refused(await fetchSecret(broker, 'ada', grant, { proof, broker: 0 }), 400, '/proof');
    refused(await fetchSecret(broker, 'ada', grant, { proof, broker: 1 }), 400, '/proof');
    refused(await fetchSecret(broker, 'ben', grant, { proof }), 400, '/proof');
    for (const other of [await newOneTimeKey(), room.encryption]) {
      await assert.rejects(compactDecrypt(reply.body.secret, other.privateKey));
    }
    assert.ok(!JSON.stringify(reply.body).includes(room.first));
    assert.equal(await releasesOn(grant), 1);
  });

  it('is not good for another grant, device, broker or time, nor with any of it changed', async () => {
    const grant = await granted();
    const seconds = Math.floor(Date.now() / 1_000);
    const wrong: object[] = [
      { grant: newId('grant', Date.now()) },
      { device: broker.contoso.devices[0]!.id },
      { aud: 'https://latchkey.example' },
      { iat: seconds - 61 },
      { iat: seconds + 20 },
      { iat: 'now' },
      { jti: '' },
      { jti: undefined },
      { key: undefined },
      { key: 'x' },
      { key: { ...key.publicJwk } },
      { key: { ...(await newOneTimeKey()).publicJwk, d: 'AAAA' } },
      { key: { ...(await newOneTimeKey()).publicJwk, crv: 'P-384' } },
      { key: { kty: 'EC', crv: 'P-256', x: key.publicJwk.x, y: key.publicJwk.x } },
      { key: { kty: 'oct', k: 'AAAA' } },
    ];
    for (const claims of wrong) {
      const signed = new SignJWT({
        jti: crypto.randomUUID(),
        aud: broker.config.publicUrl,
        iat: seconds,
        grant: grant.id,
        device: room.device.id,
        key: (await newOneTimeKey()).publicJwk,
        ...claims,
      });
      const header = { alg: 'ES256', typ: 'latchkey-secret-request+jwt', jwk: key.publicJwk };
      const proof = await signed.setProtectedHeader(header).sign(key.privateKey);
      refused(await fetchSecret(broker, 'ada', grant, { proof }), 400, '/proof');
    }
    assert.equal(await releasesOn(grant), 0);
  });

  it('is refused in every other form', async () => {
    const grant = await granted();
    const good = await secretProof(broker, grant, { key });
    const [header, payload, signature] = good.split('.') as [string, string, string];
    const other = await newEngineerKey();
    const rsa = await generateKeyPair('PS256');
    const forged = [
      `${header}.${payload}.`,
      `${header}.${payload}.${signature}=`,
      `${header}..${payload}.${signature}.`,
      new UnsecuredJWT({ grant: grant.id }).encode(),
      await secretProof(broker, grant, { key, header: { typ: 'dpop+jwt' } }),
      await secretProof(broker, grant, { key, header: { typ: undefined } }),
      await secretProof(broker, grant, { key, header: { jwk: other.publicJwk } }),
      await secretProof(broker, grant, { key, header: { jwk: undefined } }),
      await new SignJWT({}).setProtectedHeader({ alg: 'PS256' }).sign(rsa.privateKey),
      await secretProof(broker, grant, { key, claims: { filler: 'x'.repeat(4_000) } }),
    ];
    for (const proof of forged) {
      const reply = await fetchSecret(broker, 'ada', grant, { proof });
      assert.equal(reply.status, 400, `${proof.slice(0, 60)}: ${reply.status}`);
    }
    assert.equal(await releasesOn(grant), 0);
  });
});

describe('whoever has the holder’s token', () => {
  it('gets nothing with a key of their own once the grant is bound, and the holder is told', async () => {
    const grant = await granted();
    const oneTime = await newOneTimeKey();
    await openReleased(await fetchSecret(broker, 'ada', grant, { key, oneTime }), oneTime);
    refused(await fetchSecret(broker, 'ada', grant, { oneTime }), 409);
    const { body } = await broker.call('ada', 'GET', '/v1/notices');
    const told = body.items.filter((notice: { subject: string }) => notice.subject === grant.id);
    assert.ok(told.some((notice: { kind: string }) => notice.kind === 'another-key-refused'));
    assert.equal(await releasesOn(grant), 1);
  });

  it('wins once, of fifty who ask at the same moment with one-time keys of their own', async () => {
    const grant = await granted();
    const keys = await Promise.all(Array.from({ length: 50 }, () => newOneTimeKey()));
    const replies = await Promise.all(keys.map((oneTime) => fetchSecret(broker, 'ada', grant, { key, oneTime })));
    const won = replies.flatMap((reply, index) => (reply.status === 201 ? [index] : []));
    assert.equal(won.length, 1, replies.map(({ status }) => status).join());
    for (const { status } of replies) assert.ok(status === 201 || status === 409, String(status));
    assert.deepEqual(await openReleased(replies[won[0]!]!, keys[won[0]!]!), [{ generation: 1, password: room.first }]);
    assert.equal(await releasesOn(grant), 1);
  });
});

describe('another device', () => {
  it('neither confirms for this one nor opens what this one is sent', async () => {
    const other = await newSetDevice(broker);
    const forged = await sign(
      broker,
      { ...other.device, id: room.device.id },
      {
        type: 'secret.rotated',
        secret: 'local-admin',
        generation: 1,
      },
    );
    assert.equal((await other.device.call('POST', '/v1/agent/events', { events: [forged] })).status, 400);
    assert.equal((await room.device.call('POST', '/v1/agent/events', { events: [forged] })).status, 400);
    const sent = String((await room.ask(1)).body['secret']);
    await assert.rejects(compactDecrypt(sent, other.encryption.privateKey));
    assert.deepEqual(await room.listed(), { wanted: 1, confirmed: 1 });
  });

  it('that is asked with rubbish changes nothing', async () => {
    for (const body of [
      {},
      { have: -1 },
      { have: 1.5 },
      { have: '1' },
      { have: 1e12 },
      { have: 1, device: room.device.id },
    ]) {
      const { status } = await room.device.call('POST', '/v1/agent/secrets/local-admin', body);
      assert.equal(status, 400, JSON.stringify(body));
    }
    assert.deepEqual(await room.listed(), { wanted: 1, confirmed: 1 });
  });
});

describe('an encryption key', () => {
  it('that the enrolment proof does not name, or that it names and is not there, enrols nobody', async () => {
    const { newTestDevice } = await import('../support/device.ts');
    const [mine, theirs] = [await newOneTimeKey(), await newOneTimeKey()];
    const { body } = await broker.call('olu', 'POST', '/v1/enrolment-codes', { tenant: broker.contoso.id });
    const make = (encryption?: typeof mine.publicJwk) =>
      newTestDevice(broker.config.publicUrl, broker.brokers[0]!.url, encryption);
    const [withKey, without] = [await make(mine.publicJwk), await make()];
    const named = await withKey.enrolment(body.code);
    const plain = await without.enrolment(body.code);
    const { encryptionKey: _, ...stripped } = named;
    const wishes = [
      { ...named, encryptionKey: theirs.publicJwk },
      { ...named, encryptionKey: named['publicKey'] },
      { ...named, encryptionKey: { ...mine.publicJwk, y: mine.publicJwk.x } },
      stripped,
      { ...plain, encryptionKey: theirs.publicJwk },
    ];
    for (const wish of wishes) refused(await broker.call(null, 'POST', '/v1/devices', wish), 400, '/proof');
    refused(
      await broker.call(null, 'POST', '/v1/devices', { ...named, encryptionKey: { ...mine.publicJwk, d: 'A' } }),
      400,
    );
    assert.equal((await broker.call(null, 'POST', '/v1/devices', named)).status, 201);
  });
});
