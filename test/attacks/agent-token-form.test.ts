import { createHmac } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CompactEncrypt, importJWK } from 'jose';
import { newDoorstep, refusedWith, type Doorstep } from '../agent/support/doorstep.ts';
import { newSigningKey, signToken } from '../agent/support/signing-key.ts';

let at: Doorstep;
before(async () => {
  at = await newDoorstep();
});
after(() => at.close());

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const refused = (token: string) => refusedWith('bad-signature', at.verify(token));
const header = (changes: object = {}) => ({
  alg: 'ES256',
  typ: 'at+jwt',
  kid: at.broker.credentialKey.kid,
  ...changes,
});

describe('a credential in a form that it may not have', () => {
  it('is accepted in the form it must have, so that what follows is refused for its own reason', async () => {
    await at.verify(await at.credential());
  });

  it('is refused with `none`, in every spelling, with and without a signature', async () => {
    for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
      const input = `${encode(header({ alg }))}.${encode(at.claims())}`;
      for (const signature of ['', 'AAAA', encode('x'.repeat(64))]) await refused(`${input}.${signature}`);
    }
  });

  it('is refused with a symmetric algorithm whose secret is the public key', async () => {
    const { publicJwk } = at.broker.credentialKey;
    const raw = Buffer.concat(['x', 'y'].map((name) => Buffer.from(publicJwk[name as 'x' | 'y']!, 'base64url')));
    for (const secret of [JSON.stringify(publicJwk), publicJwk.x!, raw]) {
      for (const alg of ['HS256', 'HS384', 'HS512']) {
        const input = `${encode(header({ alg }))}.${encode(at.claims())}`;
        await refused(`${input}.${createHmac(alg.replace('HS', 'sha'), secret).update(input).digest('base64url')}`);
      }
    }
  });

  it('is refused with any other algorithm in the header, the signature being good or not', async () => {
    const [, payload, signature] = (await at.credential()).split('.');
    for (const alg of ['RS256', 'PS256', 'ES384', 'ES512', 'ES256K', 'EdDSA', 'Ed25519', 'es256', '', 1, null]) {
      await refused(`${encode(header({ alg }))}.${payload}.${signature}`);
    }
  });

  it('is refused with `crit` or `b64`, also when it is honestly signed', async () => {
    const { credentialKey } = at.broker;
    const [, payload, signature] = (await at.credential()).split('.');
    for (const extra of [{ crit: ['exp'], exp: 1 }, { crit: [] }, { crit: ['b64'], b64: false }, { b64: true }]) {
      await refused(`${encode(header(extra))}.${payload}.${signature}`);
    }
    await refused(await signToken(credentialKey, header({ crit: ['b64'], b64: true }), at.claims()));
  });

  it('is refused when it is encrypted to the device’s or the broker’s key', async () => {
    const key = await importJWK(at.broker.credentialKey.publicJwk, 'ECDH-ES');
    const inner = await at.credential();
    const jwe = new CompactEncrypt(Buffer.from(inner)).setProtectedHeader({
      alg: 'ECDH-ES',
      enc: 'A256GCM',
      typ: 'at+jwt',
    });
    await refused(await jwe.encrypt(key));
  });

  it('is refused with a member named twice, in header or payload, also when it is honestly signed', async () => {
    const { credentialKey } = at.broker;
    const payload = JSON.stringify(at.claims());
    for (const extra of ['"scope":"secret.read:local-admin"', '"\\u0073cope":"x"', '"cnf":{"jkt":"a","jkt":"b"}']) {
      await refused(await signToken(credentialKey, header(), `${payload.slice(0, -1)},${extra}}`));
    }
    const [, body, signature] = (await at.credential()).split('.');
    await refused(`${encode(`${JSON.stringify(header()).slice(0, -1)},"alg":"none"}`)}.${body}.${signature}`);
  });

  it('is refused when it is longer than any credential is', async () => {
    await refused(await at.credential({ claims: { padding: 'x'.repeat(8_192) } }));
    await refusedWith('no-credential', at.verify('', { authorization: [`DPoP ${'x'.repeat(1_000_000)} y`] }));
  });

  it('is refused in any base64url that is not the canonical one', async () => {
    const credential = await at.credential();
    const [head, payload, signature] = credential.split('.') as [string, string, string];
    const last = signature.at(-1)!;
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    // 64 bytes leave four bits of the last character unused: fifteen other spellings of the same signature.
    const strayBits = Array.from(alphabet)
      .filter((other) => other !== last)
      .map((other) => signature.slice(0, -1) + other);
    for (const spelling of [...strayBits, `${signature}=`, `${signature}==`, `${signature}A`]) {
      await refused(`${head}.${payload}.${spelling}`);
    }
    for (const part of [`${payload}=`, `${payload}\u00AD`, payload.replace(/./, '%$&')])
      await refused(`${head}.${part}.${signature}`);
    await refused(`${head}.${payload}.${signature}.`);
    await refused(`.${credential}`);
    await refused(`${head}.${payload}`);
  });

  it('is refused with parts that are no JSON objects', async () => {
    const { credentialKey } = at.broker;
    for (const payload of ['', '[]', 'null', '"x"', '{', '\uFEFF{}'])
      await refused(await signToken(credentialKey, header(), payload));
    const thief = await newSigningKey();
    await refused(await signToken(thief, header(), at.claims()));
  });

  it('is no credential under another scheme, twice, or beside another', async () => {
    const credential = await at.credential();
    for (const authorization of [
      undefined,
      [],
      [`Bearer ${credential}`],
      [credential],
      [`DPoP ${credential}`, `DPoP ${credential}`],
      [`DPoP ${credential}, DPoP ${credential}`],
      [`DPoP ${credential} `],
      [`DPoP`],
    ]) {
      await refusedWith('no-credential', at.verify(credential, { authorization: authorization as readonly string[] }));
    }
  });
});
