import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  base64url,
  compactDecrypt,
  CompactEncrypt,
  decodeJwt,
  exportJWK,
  generateKeyPair,
  generateSecret,
  type JWTPayload,
} from 'jose';
import { createBrokerKeys, createEventCheck } from '../../src/agent/index.ts';
import { encryptionKeyFrom } from '../../src/agent/encryption-key.ts';
import { openLocalSecret, type LocalSecretTrust } from '../../src/agent/local-secret.ts';
import { newPassword } from '../../src/credentials/password.ts';
import { signJwt } from '../../src/credentials/sign-jwt.ts';
import { requireCanonicalCompactJwe } from '../../src/domain/compact-jwe.ts';
import { commit } from '../../src/ledger/canonical.ts';
import { newTestBroker, type TestBroker } from '../support/broker.ts';
import { newOneTimeKey, newPasswordDevice, type PasswordDevice } from '../support/passwords.ts';

/** Whoever wants a device to have a password that they know. */
let broker: TestBroker;
let room: PasswordDevice;
let trust: LocalSecretTrust;
/** What the broker sent, as it was signed, and what it says. */
let honest: string;
let claims: JWTPayload;
const typ = 'latchkey-local-secret+jwe';

before(async () => {
  broker = await newTestBroker();
  room = await newPasswordDevice(broker);
  const { publicUrl: issuer } = broker.config;
  trust = {
    issuer,
    device: room.device.id,
    keys: createBrokerKeys({ jwksUri: `${issuer}/.well-known/jwks.json` }),
    encryptionKey: await encryptionKeyFrom(await exportJWK(room.encryption.privateKey)),
    checkEvent: createEventCheck({ ledgerKey: broker.brokers[0]!.context.keys.ledger.vkey }),
    now: Date.now,
  };
  const { plaintext } = await compactDecrypt(String((await room.ask()).body['secret']), room.encryption.privateKey);
  honest = Buffer.from(plaintext).toString('utf8');
  claims = decodeJwt(honest);
});
after(() => broker.stop());

const seal = (text: string, header: object = {}, key: unknown = room.encryption.publicJwk): Promise<string> =>
  new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', typ, ...header })
    .encrypt(key as never);
/** Signed as only who has the statement key can. */
const signed = (changes: object, type = 'local-secret+jwt'): string => {
  const { keys } = broker.brokers[0]!.context;
  return signJwt(keys.statement.signing(), type, { ...claims, ...changes });
};
const refusedWith = async (jwe: unknown, why: RegExp): Promise<void> =>
  assert.rejects(openLocalSecret(jwe, trust), (error: Error) => {
    assert.match(`${error.name}: ${error.message}`, why);
    assert.ok(!error.message.includes(String(claims['password'])));
    return true;
  });

it('what the broker sent is set', async () => {
  assert.deepEqual(await openLocalSecret(await seal(honest), trust), {
    generation: 1,
    password: claims['password'],
  });
});

describe('with the statement key alone', () => {
  it('no password is set but the one that the ledger commits to', async () => {
    const password = newPassword().reveal();
    const salt = base64url.decode(String(claims['salt']));
    await refusedWith(await seal(signed({ password })), /receipt .* `commitment`/);
    await refusedWith(await seal(signed({ generation: 2 })), /receipt .* `generation`/);
    await refusedWith(await seal(signed({ receipt: '' })), /receipt/);
    await refusedWith(await seal(signed({ receipt: undefined })), /other members/);
    await refusedWith(await seal(signed({ salt: base64url.encode(salt.slice(1)) })), /salt/);
  });

  it('nor the receipt of another device’s, which commits to the very password', async () => {
    const other = await newPasswordDevice(broker);
    const { claims: theirs } = await other.take();
    const { password, salt, receipt } = theirs;
    assert.ok(commit(base64url.decode(String(salt)), String(password)));
    await refusedWith(await seal(signed({ password, salt, receipt })), /receipt .* `device`/);
  });
});

it('with the ledger’s key alone, nothing: the statement is signed with a key that may', async () => {
  const { keys } = broker.brokers[0]!.context;
  const header = { ...keys.credential.signing() };
  await refusedWith(await seal(signJwt(header, 'local-secret+jwt', claims)), /key that may not/);
  const own = await generateKeyPair('ES256', { extractable: true });
  const mine = {
    ...keys.statement.signing(),
    privateKey: (await import('node:crypto')).KeyObject.from(own.privateKey),
  };
  await refusedWith(await seal(signJwt(mine, 'local-secret+jwt', claims)), /does not verify/);
});

it('what is for somebody else, of another type, or old is not set', async () => {
  const seconds = Math.floor(Date.now() / 1_000);
  const wrong: [changes: object, why: RegExp][] = [
    [{ iss: 'https://latchkey.example' }, /another issuer/],
    [{ aud: `urn:latchkey:device:${broker.contoso.devices[0]!.id}` }, /another device/],
    [{ secret: 'root' }, /another secret/],
    [{ iat: seconds - 120, exp: seconds - 60 }, /run out/],
    [{ iat: seconds, exp: seconds + 600 }, /longer than 60 s/],
    [{ iat: seconds + 300, exp: seconds + 360 }, /not yet valid/],
    [{ generation: 0 }, /generation/],
    [{ password: 'x\nroot:y' }, /password/],
    [{ password: 'short' }, /password/],
    [{ more: true }, /other members/],
  ];
  for (const [changes, why] of wrong) await refusedWith(await seal(signed(changes)), why);
  for (const type of ['live-grants+jwt', 'latchkey-agent+jwt', 'JWT'])
    await refusedWith(await seal(signed({}, type)), /is no `local-secret/);
});

describe('a JWE', () => {
  it('that any other key, algorithm or way of making it goes with is not looked into', async () => {
    const [rsa, other] = [await generateKeyPair('RSA-OAEP-256'), await newOneTimeKey()];
    const secret = await generateSecret('A256GCM', { extractable: true });
    const password = new TextEncoder().encode('guess');
    const p384 = await generateKeyPair('ECDH-ES', { crv: 'P-384' });
    const wrong: [what: string, jwe: Promise<string>, why: RegExp][] = [
      ['RSA', seal(honest, { alg: 'RSA-OAEP-256' }, rsa.publicKey), /wrapped key/],
      ['dir', seal(honest, { alg: 'dir' }, secret), /other members/],
      ['PBES2', seal(honest, { alg: 'PBES2-HS256+A128KW', p2c: 1_000_000 }, password), /wrapped key/],
      ['AES-KW', seal(honest, { alg: 'ECDH-ES+A256KW' }), /wrapped key/],
      ['another enc', seal(honest, { enc: 'A128CBC-HS256' }), /`enc`/],
      ['compression', seal(honest, { zip: 'DEF' }), /other members/],
      ['a party', seal(honest, { kid: 'x' }), /other members/],
      ['another curve', seal(honest, {}, p384.publicKey), /P-256/],
      ['another type', seal(honest, { typ: 'latchkey-released-secret+jwe' }), /another type/],
      ['no type', seal(honest, { typ: undefined }), /other members/],
      ['another key', seal(honest, {}, other.publicJwk), /not for this key/],
    ];
    for (const [what, jwe, why] of wrong) {
      await refusedWith(await jwe, why).catch((error: Error) => assert.fail(`${what}: ${error.message}`));
    }
  });

  it('that is too large, cut, changed or none is refused before anything is made of it', async () => {
    const good = await seal(honest);
    const [header, , iv, text, tag] = good.split('.') as [string, string, string, string, string];
    const bomb = await seal('x'.repeat(60_000));
    const doubled = base64url.encode(`{"alg":"ECDH-ES","alg":"dir","enc":"A256GCM","typ":"${typ}","epk":{}}`);
    const wrong: unknown[] = [
      bomb,
      '',
      null,
      7,
      { secret: good },
      honest,
      `${good}.`,
      `${header}.${iv}.${text}.${tag}`,
      `${header}.AAAA.${iv}.${text}.${tag}`,
      `${header}..${iv}=.${text}.${tag}`,
      `${header}..${iv}.${text}.${tag.slice(0, 11)}`,
      `${header}..${iv}.${text}x.${tag}`,
      `${doubled}..${iv}.${text}.${tag}`,
      `${base64url.encode('[]')}..${iv}.${text}.${tag}`,
      `${header}..${iv}.${tag}.${tag}`,
    ];
    for (const jwe of wrong) await refusedWith(jwe, /^CompactJweError/);
    assert.throws(() => requireCanonicalCompactJwe(good, { typ, maxLength: 100 }), /too long/);
  });
});
