import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { newTestBroker, people, type Reply, type TestBroker } from '../support/broker.ts';
import { newEngineerKey, type EngineerKey } from '../support/engineer.ts';
import { mint } from '../broker/support/scenario.ts';

/** Whoever has an engineer's bearer token, and perhaps a proof, but not the key (RFC 9449 §4.3, check by check). */
let broker: TestBroker;
let grant: { id: string; devices: string[] };
let key: EngineerKey;
let htu: string;
before(async () => {
  broker = await newTestBroker({ brokers: 2 });
  grant = await broker.grant('ada', 'diagnose');
  key = await newEngineerKey();
  htu = `${broker.config.publicUrl}/v1/grants/${grant.id}/credentials`;
});
after(async () => {
  try {
    const { rows } = await broker.sql.query('SELECT key_thumbprint FROM grants WHERE id = $1', [grant.id]);
    assert.notEqual(rows[0].key_thumbprint, undefined);
    await broker.checkLedger();
  } finally {
    await broker.stop();
  }
});

function refusedProof({ status, body }: Reply): void {
  assert.equal(status, 400, JSON.stringify(body));
  assert.equal(body.type, 'urn:latchkey:problem:invalid-dpop-proof');
  assert.match(body.detail, /proof|DPoP/);
}

const now = (): number => Math.floor(Date.now() / 1_000);
const withClaims = (claims: object): Promise<string> => key.proof('POST', htu, { claims });
const withHeader = (header: object): Promise<string> => key.proof('POST', htu, { header });
async function signedBy(privateKey: CryptoKey | Uint8Array, header: object): Promise<string> {
  return new SignJWT({ jti: crypto.randomUUID(), htm: 'POST', htu, iat: now() })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: key.publicJwk, ...header })
    .sign(privateKey);
}

const forgeries: [string, () => Promise<string>][] = [
  ['is empty', async () => ''],
  ['is no JWT', async () => 'a.b.c'],
  ['is of another type', () => withHeader({ typ: 'JWT' })],
  ['is of no type', () => withHeader({ typ: undefined })],
  [
    'is unsigned',
    async () =>
      (await withClaims({}))
        .replace(/^[^.]+/, encode({ alg: 'none', typ: 'dpop+jwt', jwk: key.publicJwk }))
        .replace(/[^.]+$/, ''),
  ],
  ['is signed with a shared secret', () => signedBy(new Uint8Array(32), { alg: 'HS256' })],
  ['brings no key', () => withHeader({ jwk: undefined })],
  ['names a key elsewhere', () => withHeader({ jwk: undefined, jku: 'http://127.0.0.1/keys', kid: '1' })],
  ['brings the private key', async () => withHeader({ jwk: await exportJWK(key.privateKey) })],
  [
    'brings another key than the one that signed',
    async () => signedBy(key.privateKey, { jwk: (await newEngineerKey()).publicJwk }),
  ],
  [
    'is made on another curve',
    async () => {
      const { privateKey, publicKey } = await generateKeyPair('ES384', { extractable: true });
      return signedBy(privateKey, { alg: 'ES384', jwk: await exportJWK(publicKey) });
    },
  ],
  [
    'was changed after it was signed',
    async () => {
      const [header, , signature] = (await withClaims({})).split('.');
      return `${header}.${encode({ jti: 'x', htm: 'POST', htu, iat: now() })}.${signature}`;
    },
  ],
  ['has no `jti`', () => withClaims({ jti: undefined })],
  ['has an empty `jti`', () => withClaims({ jti: '' })],
  ['has a `jti` that is a number', () => withClaims({ jti: 7 })],
  ['has an endless `jti`', () => withClaims({ jti: 'x'.repeat(257) })],
  ['is for another method', () => withClaims({ htm: 'GET' })],
  ['is for the method in other letters', () => withClaims({ htm: 'post' })],
  ['has no method', () => withClaims({ htm: undefined })],
  ['is for another path', () => withClaims({ htu: `${broker.config.publicUrl}/v1/grants` })],
  ['is for another grant', () => withClaims({ htu: htu.replace(grant.id, 'grt_01h455vb4pex5vsknk084sn02q') })],
  ['is for another host', () => withClaims({ htu: htu.replace('127.0.0.1', 'localhost') })],
  ['is for another port', () => withClaims({ htu: htu.replace(/:\d+\//, ':1/') })],
  ['is for another scheme', () => withClaims({ htu: htu.replace('http:', 'https:') })],
  ['has no address', () => withClaims({ htu: undefined })],
  ['is 61 seconds old', () => withClaims({ iat: now() - 62 })],
  ['comes from the future', () => withClaims({ iat: now() + 12 })],
  ['does not say when it was made', () => withClaims({ iat: undefined })],
  ['says when it was made as a text', () => withClaims({ iat: String(now()) })],
  ['carries the hash of a token', () => withClaims({ ath: 'fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo' })],
  [
    'asks for something critical',
    async () => {
      const header = encode({ alg: 'ES256', typ: 'dpop+jwt', jwk: key.publicJwk, crit: ['b64'], b64: true });
      return (await withClaims({})).replace(/^[^.]+/, header);
    },
  ],
  ['is padded', async () => `${await withClaims({})}=`],
  ['is followed by a space and another', async () => `${await withClaims({})} ${await withClaims({})}`],
];
for (const [name, forge] of forgeries) {
  test(`a proof that ${name} gets nothing`, async () => {
    const before = (await broker.events('credential.issued')).length;
    refusedProof(await mint(broker, 'ada', grant, { proof: await forge() }));
    assert.equal((await broker.events('credential.issued')).length, before);
  });
}

test('without a proof, or with two, nothing is issued', async () => {
  const path = `/v1/grants/${grant.id}/credentials`;
  refusedProof(await broker.call('ada', 'POST', path, { device: grant.devices[0] }));
  const two = await raw({ dpop: [await withClaims({}), await withClaims({})] });
  refusedProof(two);
});

test('a proof within its minute is taken, once, by whichever broker comes first', async () => {
  for (const iat of [now() - 55, now() + 8]) {
    const proof = await withClaims({ iat });
    assert.equal((await mint(broker, 'ada', grant, { proof, broker: 0 })).status, 201);
    refusedProof(await mint(broker, 'ada', grant, { proof, broker: 1 }));
  }
});

test('the same `jti` of the same key is the same proof, whatever else it says', async () => {
  const jti = crypto.randomUUID();
  assert.equal((await mint(broker, 'ada', grant, { proof: await withClaims({ jti }) })).status, 201);
  refusedProof(await mint(broker, 'ada', grant, { proof: await withClaims({ jti, iat: now() - 5 }) }));
});

test('a proof is used up by a refusal as well', async () => {
  const elsewhere = await broker.grant('ada', 'diagnose');
  await broker.call('ada', 'POST', `/v1/grants/${elsewhere.id}/release`);
  const url = `${broker.config.publicUrl}/v1/grants/${elsewhere.id}/credentials`;
  const proof = await key.proof('POST', url);
  assert.equal((await mint(broker, 'ada', elsewhere, { proof })).status, 409);
  refusedProof(await mint(broker, 'ada', elsewhere, { proof }));
});

test('an address is the same address in other spellings (RFC 3986 §6.2)', async () => {
  const spelled = htu.replace('http://', 'HTTP://').replace('/v1/', '/%761/');
  for (const url of [spelled, `${htu}?more=1`, `${htu}#part`]) {
    assert.equal((await mint(broker, 'ada', grant, { proof: await key.proof('POST', url) })).status, 201, url);
  }
});

test('neither Host nor what a proxy might say decides what address a proof is for', async () => {
  const evil = 'http://evil.example';
  const names = {
    host: 'evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    forwarded: 'host=evil.example',
  };
  for (const url of [
    htu.replace(broker.config.publicUrl, evil),
    htu.replace(broker.config.publicUrl, 'https://evil.example'),
  ]) {
    refusedProof(await raw({ ...names, dpop: await key.proof('POST', url) }));
  }
  assert.equal((await raw({ ...names, dpop: await withClaims({}) })).status, 201);
});

test('another’s token with one’s own key gets nothing once the key is fixed', async () => {
  const thief = await newEngineerKey();
  const reply = await mint(broker, 'ada', grant, { key: thief });
  assert.equal(reply.status, 409);
});

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** A call with these very headers, as no client library would send them. */
async function raw(headers: Record<string, string | string[]>): Promise<Reply> {
  const token = await broker.issuer.tokenFor(people.ada);
  return new Promise((resolve, reject) => {
    const call = httpRequest(`${broker.brokers[0]!.url}/v1/grants/${grant.id}/credentials`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    });
    call.on('error', reject);
    call.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () =>
        resolve({ status: response.statusCode!, body: JSON.parse(text), headers: new Headers() }),
      );
    });
    call.end(JSON.stringify({ device: grant.devices[0] }));
  });
}
